//! Asks an upstream for its health, so that the gateway's own health service can answer for it.
//! Must not know the gateway's health service.

use std::time::Duration;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Held;

/// How long one check may take; a server that cannot say it is well in this time is not well.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the upstream as a whole says SERVING. One without a health service is taken as well while
/// its connection stands.
pub(crate) async fn is_serving(held: Held) -> bool {
    let request = HealthCheckRequest { service: String::new() };
    let mut client = HealthClient::new(held);
    match tokio::time::timeout(CHECK_TIMEOUT, client.check(request)).await {
        Ok(Ok(answer)) => answer.into_inner().status() == ServingStatus::Serving,
        Ok(Err(status)) => status.code() == Code::Unimplemented,
        Err(_elapsed) => false,
    }
}
