//! How each component is put together, the same in `up` and in `serve`.
//! Must not know where settings come from.

use std::sync::Arc;

use anyhow::anyhow;
use caremesh_gateway as gateway;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::tls::WorkloadIdentity;

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
