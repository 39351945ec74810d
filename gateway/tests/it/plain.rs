//! Plain HTTP on the same port: files, and nothing else.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};

use crate::web::{Wire, send};
use crate::world::World;

fn get(path: &str, host: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", host).body(Empty::new()).expect("valid")
}

#[tokio::test]
async fn files_are_served_with_headers_that_leave_no_room_for_foreign_code() {
    let folder = tempfile::TempDir::new().expect("folder");
    std::fs::write(folder.path().join("index.html"), "<!doctype html><title>Caremesh</title>")
        .expect("written");
    std::fs::create_dir(folder.path().join("assets")).expect("made");
    std::fs::write(folder.path().join("assets/app-1234.js"), "export {}").expect("written");
    let path = folder.path().to_owned();
    let (world, _probe) = World::with_probe_and(|config| {
        config.static_folder = Some(path);
        config.connect_origins = vec!["https://signin.example.org".to_owned()];
    })
    .await;

    let page = send(&world, Wire::Http1, get("/", "app.example.org")).await;
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().expect("ASCII");
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("connect-src 'self' https://signin.example.org"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert!(header("strict-transport-security").starts_with("max-age=31536000"));
    assert_eq!(header("cache-control"), "no-cache");
    let body = page.into_body().collect().await.expect("whole").to_bytes();
    assert!(body.starts_with(b"<!doctype html>"));

    let script = send(&world, Wire::Http1, get("/assets/app-1234.js", "localhost")).await;
    assert!(script.headers()["cache-control"].to_str().expect("ASCII").contains("immutable"));
    assert!(!script.headers().contains_key("strict-transport-security"), "never for localhost");

    for escape in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/..%2f..%2fCargo.toml"] {
        let answer = send(&world, Wire::Http1, get(escape, "localhost")).await;
        assert_eq!(answer.status(), 404, "{escape}");
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_over_both_protocols() {
    let (world, _probe) = World::with_probe().await;
    let answer = send(&world, Wire::Http1, get("/healthz", "localhost")).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let url = format!("https://localhost:{}/anything", world.address.port());
    let answer = send(&world, Wire::Http2, get(&url, "localhost")).await;
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn what_the_port_does_not_speak_is_said() {
    let (world, _probe) = World::with_probe().await;
    for kind in ["application/grpc", "application/grpc-web+json"] {
        let request = Request::post("/caremesh.probe.v1.ProbeService/Echo")
            .header("host", "localhost")
            .header("content-type", kind)
            .body(Empty::<Bytes>::new())
            .expect("valid");
        let answer = send(&world, Wire::Http1, request).await;
        assert_eq!(answer.status(), 415, "{kind}");
        let text = answer.into_body().collect().await.expect("whole").to_bytes();
        assert!(text.starts_with(b"This port speaks gRPC"));
    }
}
