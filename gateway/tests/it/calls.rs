//! Calls that succeed, in every form in which they can come.

use std::time::Duration;

use futures::StreamExt;
use tonic::Code;

use crate::native::Connection;
use crate::probe::{Ask, ask};
use crate::web::{ORIGIN, WebCall, Wire};
use crate::world::World;

#[tokio::test]
async fn native_calls_of_each_kind_pass() {
    let (world, _probe) = World::with_probe().await;
    let client = Connection::open(&world).await;

    let echo = client.unary("Echo", ask("hello")).await.expect("unary");
    assert_eq!(echo.into_inner().text, "hello");

    let counted =
        client.stream("Count", client.signed(Ask { count: 3, ..Ask::default() })).await.expect("stream");
    let texts: Vec<_> = counted.map(|it| it.expect("message").text).collect().await;
    assert_eq!(texts, ["0", "1", "2"]);

    let asks = futures::stream::iter(["a", "b", "c"].map(ask));
    assert_eq!(client.gather(asks).await.expect("client stream").into_inner().text, "abc");
}

#[tokio::test]
async fn a_message_of_megabytes_passes_in_both_directions() {
    let (world, _probe) = World::with_probe().await;
    let client = Connection::open(&world).await;
    let text = "x".repeat(3 << 20);
    let echo = client.unary("Echo", ask(&text)).await.expect("fits");
    assert_eq!(echo.into_inner().text.len(), text.len());
}

#[tokio::test]
async fn grpc_web_passes_in_binary_and_text_over_both_protocols() {
    let (world, _probe) = World::with_probe().await;
    for wire in [Wire::Http1, Wire::Http2] {
        for text in [false, true] {
            let call = WebCall::new("Echo", &ask("hello")).over(wire);
            let call = if text { call.text() } else { call };
            let answer = call.send(&world).await;
            assert_eq!(answer.code(), Code::Ok, "{wire:?} text={text}: {answer:?}");
            assert_eq!(answer.messages[0].text, "hello");
            assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
            let kind = if text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
            assert_eq!(answer.header("content-type"), kind);
        }
    }
}

#[tokio::test]
async fn a_stream_reaches_a_browser_message_by_message() {
    let (world, _probe) = World::with_probe().await;
    for text in [false, true] {
        let call = WebCall::new("Count", &Ask { count: 4, delay_ms: 5, ..Ask::default() });
        let answer = if text { call.text() } else { call }.send(&world).await;
        assert_eq!(answer.code(), Code::Ok);
        let texts: Vec<_> = answer.messages.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["0", "1", "2", "3"]);
    }
}

#[tokio::test]
async fn the_parameters_of_a_content_type_do_not_matter() {
    let (world, _probe) = World::with_probe().await;
    let mut call = WebCall::new("Echo", &ask("hello"));
    call.content_type = "application/grpc-web+proto; charset=utf-8";
    assert_eq!(call.send(&world).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_method_for_anyone_needs_no_token() {
    let (world, _probe) = World::with_probe().await;
    let answer = WebCall::new("Open", &ask("hello")).token(None).send(&world).await;
    assert_eq!(answer.code(), Code::Ok, "{answer:?}");
}

#[tokio::test]
async fn the_upstream_sees_token_trace_call_id_and_what_remains_and_nothing_spoofed() {
    let (world, _probe) = World::with_probe().await;
    let answer = WebCall::new("Headers", &ask(""))
        .header("grpc-timeout", "2S")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("baggage", "secret=1")
        .header("tracestate", "vendor=1")
        .header("x-caremesh-call-id", "forged")
        .header("x-caremesh-on-behalf-of", "prs_forged")
        .header("x-forwarded-for", "203.0.113.9")
        .header("cookie", "session=1")
        .header("x-correlation-id", "order-7")
        .send(&world)
        .await;
    let seen = &answer.messages[0].text;
    let value = |name: &str| {
        let line = seen.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.map(|line| line[name.len() + 2..].to_owned())
    };
    assert!(value("authorization").is_some_and(|it| it.starts_with("Bearer ey")));
    assert_eq!(value("x-correlation-id").as_deref(), Some("order-7"));
    let trace = value("traceparent").expect("goes on");
    assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
    assert!(!trace.contains("00f067aa0ba902b7"), "the edge's own span is the parent: {trace}");
    let call_id = value("x-caremesh-call-id").expect("made at the edge");
    assert_ne!(call_id, "forged");
    assert_eq!(answer.header("x-caremesh-call-id"), call_id, "the caller is told the same id");
    let timeout = value("grpc-timeout").expect("goes on");
    let rest = caremesh_mesh::deadline::parse(timeout.as_bytes()).expect("well formed");
    assert!(rest < Duration::from_secs(2) && rest > Duration::from_millis(1_500), "{rest:?}");
    for name in [
        "baggage",
        "tracestate",
        "x-caremesh-on-behalf-of",
        "x-forwarded-for",
        "cookie",
        "origin",
        "x-grpc-web",
    ] {
        assert_eq!(value(name), None, "{name} must not go on");
    }
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_with_all_that_a_client_needs() {
    let (world, _probe) = World::with_probe().await;
    let preflight = |origin: &str| {
        http::Request::options("/caremesh.probe.v1.ProbeService/Echo")
            .header("host", "localhost")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,grpc-timeout,x-grpc-web,traceparent,connect-protocol-version",
            )
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .expect("valid")
    };
    let answer = crate::web::send(&world, Wire::Http1, preflight(ORIGIN)).await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().expect("ASCII").to_lowercase();
    assert_eq!(header("access-control-allow-origin"), ORIGIN);
    assert!(header("access-control-allow-methods").contains("post"));
    let allowed = header("access-control-allow-headers");
    for name in [
        "authorization",
        "content-type",
        "grpc-timeout",
        "x-grpc-web",
        "traceparent",
        "connect-protocol-version",
    ] {
        assert!(allowed.split(',').any(|it| it.trim() == name), "{name} in {allowed}");
    }
    assert_eq!(header("access-control-max-age"), "7200");

    let stranger = crate::web::send(&world, Wire::Http1, preflight("https://evil.example.org")).await;
    assert!(!stranger.headers().contains_key("access-control-allow-origin"));
}
