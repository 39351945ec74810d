//! How each component is put together, the same in `up` and in `serve`.
//! Must not know where settings come from.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use caremesh_gateway as gateway;
use caremesh_kernel::{SystemClock, SystemIds};
use caremesh_mesh::identity::Identity;
use caremesh_mesh::lifecycle::Lifecycle;
use caremesh_mesh::server::ServerError;
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_svc_policy as policy;

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

/// Starts svc-policy on stores whose schema is this release's.
///
/// # Errors
/// When a schema is another release's or a port is taken; says what to do.
pub async fn start_policy(
    config: policy::Config,
    workload: WorkloadIdentity,
    identity: Arc<Identity>,
    telemetries: &Telemetries,
    life: &Lifecycle,
) -> Result<policy::Service> {
    let metrics = telemetries.metrics.clone();
    let parts = policy::Parts {
        workload,
        authenticator: identity,
        metrics: Arc::new(move || metrics.render()),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    policy::Service::start(config, parts, life).await.map_err(explain_policy)
}

fn explain_policy(error: policy::Error) -> anyhow::Error {
    match error {
        policy::Error::Server(ServerError::Listen { address, source }) => anyhow!(source).context(format!(
            "{address} cannot be listened on: stop what uses it, or choose another address with \
             --set policy.listen=127.0.0.1:PORT or --set policy.admin_listen=127.0.0.1:PORT"
        )),
        other => anyhow!(other),
    }
}

/// Adds to an error of the gateway what a person can do about it.
#[must_use]
pub fn explain_gateway(error: gateway::Error) -> anyhow::Error {
    match error {
        gateway::Error::Bind { address, source } => anyhow!(source).context(format!(
            "{address} cannot be listened on: stop what uses it, or choose another address with \
             --set gateway.listen=127.0.0.1:PORT or --set gateway.admin_listen=127.0.0.1:PORT"
        )),
        other => anyhow!(other),
    }
}
