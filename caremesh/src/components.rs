//! How each component is put together, the same in `up` and in `serve`.
//! Must not know where settings come from.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use caremesh_gateway as gateway;
use caremesh_kernel::{SystemClock, SystemIds};
use caremesh_mesh::identity::Identity;
use caremesh_mesh::lifecycle::Lifecycle;
use caremesh_mesh::server::ServerError;
use caremesh_mesh::telemetry::Metrics;
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_policy as policy;
use futures::future::BoxFuture;

use crate::process::Telemetries;

/// The trust domain of the local authority.
pub const TRUST_DOMAIN: &str = "caremesh.local";

/// What the gateway needs besides its settings.
#[must_use]
pub fn gateway_parts(
    workload: WorkloadIdentity,
    identity: Arc<Identity>,
    telemetries: &Telemetries,
) -> gateway::Parts {
    let metrics = telemetries.metrics.clone();
    gateway::Parts {
        identity: workload,
        edge_tls: None,
        authenticator: identity,
        metrics: Arc::new(move || metrics.render()),
    }
}

/// Defaults of svc-policy in the ports that docs/ports.md names.
#[must_use]
pub fn policy_defaults() -> serde_json::Value {
    serde_json::json!({
        "server": { "listen": "127.0.0.1:50051", "admin_listen": "127.0.0.1:9091" },
    })
}

/// Defaults of svc-pharmacy in the ports that docs/ports.md names.
#[must_use]
pub fn pharmacy_defaults() -> serde_json::Value {
    serde_json::json!({
        "server": { "listen": "127.0.0.1:50053", "admin_listen": "127.0.0.1:9093" },
    })
}

/// What a service takes from its process.
pub struct Surroundings {
    /// Its certificate.
    pub workload: WorkloadIdentity,
    /// Who tells who calls.
    pub identity: Arc<Identity>,
    /// The process's metrics.
    pub metrics: Metrics,
    /// What tells it to end.
    pub life: Lifecycle,
}

/// A service that runs.
pub struct Started {
    /// Where it serves gRPC.
    pub address: SocketAddr,
    /// Done when it has ended.
    pub ended: BoxFuture<'static, ()>,
}

/// Every service is started alike; their crates do not know each other, so the types are not the same.
macro_rules! starts {
    ($(#[$doc:meta])* $start:ident, $service:ident, $component:literal) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// When a schema is another release's or a port is taken; says what to do.
        pub async fn $start(config: $service::Config, around: Surroundings) -> Result<Started> {
            let Surroundings { workload, identity, metrics, life } = around;
            let parts = $service::Parts {
                workload,
                authenticator: identity,
                metrics: Arc::new(move || metrics.render()),
                clock: Arc::new(SystemClock),
                ids: Arc::new(SystemIds),
            };
            let started = $service::start(config, parts, &life).await;
            let service = started.map_err(|error| match error {
                $service::Error::Server(error) => explain_server($component, error),
                other => anyhow!(other),
            })?;
            Ok(Started { address: service.address(), ended: Box::pin(service.ended()) })
        }
    };
}

starts! {
    /// Starts svc-policy on stores whose schema is this release's.
    start_policy, policy, "policy"
}
starts! {
    /// Starts svc-pharmacy on stores whose schema is this release's.
    start_pharmacy, pharmacy, "pharmacy"
}

/// Adds to an error of a service's server what a person can do about it.
fn explain_server(component: &str, error: ServerError) -> anyhow::Error {
    match error {
        ServerError::Listen { address, source } => cannot_listen(address, component, source),
        other => anyhow!(other),
    }
}

fn cannot_listen(address: SocketAddr, component: &str, source: std::io::Error) -> anyhow::Error {
    anyhow!(source).context(format!(
        "{address} cannot be listened on: stop what uses it, or choose another address with \
         --set {component}.listen=127.0.0.1:PORT or --set {component}.admin_listen=127.0.0.1:PORT"
    ))
}

/// Adds to an error of the gateway what a person can do about it.
#[must_use]
pub fn explain_gateway(error: gateway::Error) -> anyhow::Error {
    match error {
        gateway::Error::Bind { address, source } => cannot_listen(address, "gateway", source),
        other => anyhow!(other),
    }
}
