//! Health follows dependencies; liveness does not; the admin port shows both.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::world::World;

/// `SERVING` or `NOT_SERVING`.
pub(crate) async fn check(world: &World, service: &str) -> Result<String, Status> {
    check_at(world.running.address, service).await
}

async fn check_at(address: std::net::SocketAddr, service: &str) -> Result<String, Status> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await?;
    Ok(answer.into_inner().status().as_str_name().to_owned())
}

/// Waits until a service has the status; panics after some seconds.
pub(crate) async fn becomes(world: &World, service: &str, status: &str) {
    for _ in 0..200 {
        if check(world, service).await.is_ok_and(|now| now == status) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{service} did not become {status}");
}

/// The status line and body of a plain HTTP/1.1 GET on the admin port.
pub(crate) async fn admin(world: &World, path: &str) -> String {
    let mut stream = TcpStream::connect(world.running.admin_address).await.expect("the admin port");
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test]
async fn readiness_follows_the_dependency_and_liveness_does_not() {
    let world = World::new().await;
    for name in ["", "readiness", "caremesh.probe.v1.ProbeService"] {
        becomes(&world, name, "SERVING").await;
    }
    world.database.0.store(false, Ordering::Relaxed);
    for name in ["", "readiness", "caremesh.probe.v1.ProbeService"] {
        becomes(&world, name, "NOT_SERVING").await;
    }
    assert_eq!(check(&world, "liveness").await.expect("known"), "SERVING");
    world.database.0.store(true, Ordering::Relaxed);
    becomes(&world, "readiness", "SERVING").await;
}

#[tokio::test]
async fn the_admin_port_shows_health_readiness_and_metrics_in_plain_text() {
    let world = World::new().await;
    becomes(&world, "", "SERVING").await;
    assert!(admin(&world, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(admin(&world, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(admin(&world, "/metrics").await.contains("caremesh_up 1"));
    assert_eq!(check_at(world.running.admin_address, "").await.expect("gRPC health there too"), "SERVING");
    world.database.0.store(false, Ordering::Relaxed);
    becomes(&world, "", "NOT_SERVING").await;
    let page = admin(&world, "/readyz").await;
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("database does not answer"), "{page}");
    assert!(admin(&world, "/healthz").await.starts_with("HTTP/1.1 200"));
}
