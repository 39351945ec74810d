//! Waits until what was started can be used, told by gRPC health and not by asking again and again.
//! Must not know what is waited for.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The service whose health says that svc-policy has been found and serves.
pub const POLICY: &str = "caremesh.policy.v1.PolicyService";
/// The same for svc-pharmacy.
pub const PHARMACY: &str = "caremesh.pharmacy.v1.StockService";

/// Returns when the gateway has found all of `services` and they serve.
///
/// # Errors
/// When the gateway's admin port closes.
pub async fn until_serving(admin: SocketAddr, services: &[&str]) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{admin}"))?.connect().await?;
    for service in services {
        until_it_serves(channel.clone(), service).await?;
    }
    Ok(())
}

async fn until_it_serves(channel: Channel, service: &str) -> Result<()> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut changes = HealthClient::new(channel).watch(request).await?.into_inner();
    while let Some(change) = changes.message().await.context("the gateway's admin port closed")? {
        if change.status() == ServingStatus::Serving {
            return Ok(());
        }
    }
    bail!("the gateway stopped telling its health")
}
