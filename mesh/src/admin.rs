//! The admin port: liveness, readiness, metrics and gRPC health in plain text, for probes and scrapers
//! that can do no TLS. Must not be reachable from outside, and shows nothing of any caller.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use crate::health::Health;
use crate::lifecycle::Lifecycle;

/// Renders the process's metrics for a scraper.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Page {
    health: Health,
    metrics: RenderMetrics,
}

/// Serves `/healthz`, `/readyz`, `/metrics` (HTTP/1.1) and `grpc.health.v1` (HTTP/2) until `life` is over:
/// through the whole drain, because that is when somebody looks.
pub async fn serve(listener: TcpListener, health: Health, metrics: RenderMetrics, life: Lifecycle) {
    let grpc = Routes::new(HealthServer::new(health.service())).into_axum_router();
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async |State(page): State<Page>| (page.metrics)()))
        .with_state(Page { health, metrics })
        .merge(grpc);
    tokio::select! {
        ended = axum::serve(listener, router) => {
            if let Err(error) = ended {
                tracing::error!(error.kind = %error.kind(), "the admin port failed");
            }
        }
        () = life.over() => {}
    }
}

async fn ready(State(page): State<Page>) -> (StatusCode, String) {
    let found = page.health.readiness();
    let code = if found.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let state = match (found.draining, found.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let down: String = found.down.iter().map(|name| format!("{name} does not answer\n")).collect();
    (code, format!("{state}\n{down}"))
}
