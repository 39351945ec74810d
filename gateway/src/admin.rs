//! The admin port: liveness, readiness, metrics and gRPC health, in plain text.
//! Must not be reachable from outside, and shows nothing of any caller.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use caremesh_mesh::admin::RenderMetrics;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::own::Own;
use crate::upstream::Upstream;

/// What the admin port shows.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) own: Arc<Own>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) metrics: RenderMetrics,
}

/// Serves until it is dropped. HTTP/1.1 for probes and scrapers, HTTP/2 for gRPC health.
pub(crate) async fn serve(listener: TcpListener, page: Page) {
    let health = Routes::new(page.own.health_service()).into_axum_router();
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(page)
        .merge(health);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "The admin port failed.");
    }
}

async fn metrics(State(page): State<Page>) -> String {
    (page.metrics)()
}

/// Ready until it drains. An upstream that is down does not make the gateway unready: the others must
/// be reachable still, and every replica would be unready at once.
async fn ready(State(page): State<Page>) -> (StatusCode, String) {
    let draining = page.own.is_draining();
    let code = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut lines = format!("gateway {}\n", if draining { "draining" } else { "serving" });
    for upstream in &page.upstreams {
        let state = if upstream.is_serving() { "serving" } else { "not serving" };
        let (well, all) = upstream.count();
        lines.push_str(&format!("upstream {} {state} ({well} of {all} replicas)\n", upstream.name()));
    }
    (code, lines)
}
