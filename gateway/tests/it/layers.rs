//! Steps of the edge that no call notices until something goes wrong: whoever takes one out sees it here.

use std::sync::Arc;

use caremesh_mesh::principal::{Authenticator, Credentials, Principal};
use caremesh_mesh::refusal::Refusal;
use caremesh_mesh::telemetry::{TelemetryConfig, init_to};
use futures::future::BoxFuture;
use tonic::Code;

use crate::native::{Connection, with_token};
use crate::probe::{Upstream, ask};
use crate::world::{Trust, World};

/// Somebody else's code at the edge that has a fault: it panics when it sees this token.
struct Faulty(Arc<dyn Authenticator>);

const FATAL: &str = "fatal";

impl Authenticator for Faulty {
    fn authenticate<'a>(&'a self, credentials: Credentials<'a>) -> BoxFuture<'a, Result<Principal, Refusal>> {
        let shown = credentials.headers.get("authorization").map(|it| it.as_bytes().to_owned());
        assert!(shown != Some(format!("Bearer {FATAL}").into_bytes()), "a fault of the edge");
        self.0.authenticate(credentials)
    }
}

#[tokio::test]
async fn a_panic_at_the_edge_fails_its_own_call_and_not_the_connection() {
    let trust = Trust::new().await;
    let upstream = Upstream::start(&trust).await;
    let (url, faulty) = (upstream.url(), Arc::new(Faulty(trust.authenticator())));
    let world = World::start_with(trust, faulty, |config| {
        config.upstreams.insert("svc-probe".to_owned(), url);
    })
    .await;
    world.wait_for("upstream svc-probe serving").await;

    let client = Connection::open(&world).await;
    let status = client.unary_request("Echo", with_token(ask(""), FATAL)).await.expect_err("a panic");
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(!status.message().contains("a fault of the edge"), "the panic's text is not for callers");
    client.unary("Echo", ask("")).await.expect("the same connection serves on");
}

#[tokio::test]
async fn calls_through_the_edge_are_counted_by_method_and_code_refusals_included() {
    let telemetry = init_to(&TelemetryConfig::default(), "gateway", std::io::sink).expect("the only one");
    let (world, _upstream) = World::with_probe().await;
    let client = Connection::open(&world).await;
    client.unary("Echo", ask("")).await.expect("served");
    client.unary_request("Echo", tonic::Request::new(ask(""))).await.expect_err("no token");
    let text = telemetry.metrics().render();
    for code in [Code::Ok, Code::Unauthenticated] {
        let code = format!("rpc_grpc_status_code=\"{}\"", i32::from(code));
        let wanted = ["rpc_server_call_duration_seconds_count", "caremesh_service=\"gateway\"", &code];
        let counted = |line: &str| wanted.iter().all(|it| line.contains(it)) && line.contains("\"Echo\"");
        assert!(text.lines().any(counted), "{code} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_edge_tells_the_id_of_its_call() {
    let (world, _upstream) = World::with_probe().await;
    let client = Connection::open(&world).await;
    let status = client.unary_request("Echo", tonic::Request::new(ask(""))).await.expect_err("no token");
    let id = status.metadata().get("x-caremesh-call-id").and_then(|it| it.to_str().ok());
    assert!(id.is_some_and(|it| it.len() == 36), "{status:?}");
}
