//! Calls that are refused: each wrong input has its own status, readable by a browser, and the gateway
//! serves on afterwards.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt;

use crate::native::{Connection, with_token};
use crate::probe::{Ask, ask};
use crate::web::{ORIGIN, WebAnswer, WebCall, Wire, frame, read, send, tls};
use crate::world::World;

/// What a browser's client needs to read a refusal.
fn readable(answer: &WebAnswer) {
    assert_eq!(answer.http, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    let exposed = answer.header("access-control-expose-headers");
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    assert!(answer.header("content-type").starts_with("application/grpc-web"));
}

async fn still_serves(world: &World) {
    let answer = WebCall::new("Echo", &ask("still here")).send(world).await;
    assert_eq!(answer.code(), Code::Ok, "{answer:?}");
}

#[tokio::test]
async fn an_error_of_the_service_reaches_a_browser_with_its_details() {
    let (world, _probe) = World::with_probe().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = WebCall::new("Refuse", &ask("")).over(wire).send(&world).await;
        readable(&answer);
        assert_eq!(answer.code(), Code::InvalidArgument);
        assert_eq!(answer.reason(), "FIELD_INVALID");
        let fields = answer.status.get_details_bad_request().expect("details").field_violations;
        assert_eq!(fields[0].field, "text");
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_unauthenticated() {
    let (world, _probe) = World::with_probe().await;
    let answer = WebCall::new("Echo", &ask("")).token(None).send(&world).await;
    readable(&answer);
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unauthenticated, "CREDENTIALS_MISSING"));
}

#[tokio::test]
async fn a_bad_token_is_refused_also_where_none_is_needed() {
    let (world, _probe) = World::with_probe().await;
    for method in ["Echo", "Open"] {
        let answer = WebCall::new(method, &ask("")).token(Some("forged")).send(&world).await;
        readable(&answer);
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    }
}

#[tokio::test]
async fn an_expired_deadline_is_deadline_exceeded_for_browsers_and_native_clients() {
    let (world, _probe) = World::with_probe().await;
    let slow = Ask { delay_ms: 3_000, ..Ask::default() };
    let begun = Instant::now();
    let answer = WebCall::new("Echo", &slow).header("grpc-timeout", "200m").send(&world).await;
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    readable(&answer);
    assert_eq!(answer.code(), Code::DeadlineExceeded);

    let client = Connection::open(&world).await;
    let mut request = client.signed(slow);
    request.metadata_mut().insert("grpc-timeout", "200m".parse().expect("ASCII"));
    let status = client.unary_request("Echo", request).await.expect_err("too slow");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_deadline_and_keeps_what_it_gave() {
    let (world, _probe) = World::with_probe().await;
    let endless = Ask { count: 1_000, delay_ms: 50, ..Ask::default() };
    let answer = WebCall::new("Count", &endless).header("grpc-timeout", "500m").send(&world).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded, "{answer:?}");
    assert!(answer.messages.len() >= 3 && answer.messages.len() < 15, "{}", answer.messages.len());
}

#[tokio::test]
async fn the_contract_limits_a_stream_that_names_no_deadline() {
    let (world, _probe) = World::with_probe().await;
    let begun = Instant::now();
    let endless = Ask { count: 1_000, delay_ms: 100, ..Ask::default() };
    let answer = WebCall::new("Count", &endless).send(&world).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1_800) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_malformed_deadline_is_named() {
    let (world, _probe) = World::with_probe().await;
    let answer = WebCall::new("Echo", &ask("")).header("grpc-timeout", "soon").send(&world).await;
    readable(&answer);
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    let fields = answer.status.get_details_bad_request().expect("details").field_violations;
    assert_eq!(fields[0].field, "grpc-timeout");
}

#[tokio::test]
async fn malformed_frames_are_invalid_arguments() {
    let (world, _probe) = World::with_probe().await;
    let message = ask("hello").encode_to_vec();
    let whole = frame(0, &message);
    let bodies: [(&str, Vec<u8>); 6] = [
        ("nothing", Vec::new()),
        ("half a prefix", whole[..3].to_vec()),
        ("half a message", whole[..whole.len() - 2].to_vec()),
        ("unknown flag", frame(7, &message)),
        ("two messages", [whole.clone(), whole.clone()].concat()),
        ("no frame at all", b"<html>".to_vec()),
    ];
    for (name, body) in bodies {
        let answer = WebCall::new("Echo", &ask("")).body(body).send(&world).await;
        readable(&answer);
        assert_eq!(answer.code(), Code::InvalidArgument, "{name}: {answer:?}");
        assert_eq!(answer.reason(), "MESSAGE_MALFORMED", "{name}");
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn text_that_is_not_base64_is_an_invalid_argument() {
    let (world, _probe) = World::with_probe().await;
    for body in [&b"!!!!"[..], b"AAAAA", b"AAAA*"] {
        let mut call = WebCall::new("Echo", &ask("")).text();
        call.body = body.to_vec();
        let answer = call.send(&world).await;
        readable(&answer);
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::InvalidArgument, "MESSAGE_MALFORMED"));
    }
}

#[tokio::test]
async fn an_oversized_message_is_resource_exhausted_and_names_the_limit() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.max_message_bytes = 1_024).await;
    let big = ask(&"x".repeat(2_000));
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = WebCall::new("Echo", &big).over(wire).send(&world).await;
        readable(&answer);
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
        let info = answer.status.get_details_error_info().expect("info");
        assert_eq!(info.metadata["limit_bytes"], "1024");
    }
    let client = Connection::open(&world).await;
    let status = client.unary("Echo", big.clone()).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = client.gather(futures::stream::iter([ask("ok"), big])).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    still_serves(&world).await;
}

#[tokio::test]
async fn a_refusal_is_readable_while_a_large_body_is_still_on_its_way() {
    // Closing with unread bytes resets the connection, and the answer is lost with it: the browser
    // would show a network error instead of the refusal.
    let (world, _probe) = World::with_probe_and(|config| config.limits.max_message_bytes = 1_024).await;
    let large = ask(&"x".repeat(3 << 20));
    // More than the sockets' buffers hold.
    let huge = ask(&"x".repeat(14 << 20));
    for token in [None, Some("member-1")] {
        let answer = write_all_then_read(&world, &huge, token).await;
        let code = if token.is_none() { "grpc-status: 16" } else { "grpc-status: 8" };
        assert!(answer.contains(code), "{answer}");
    }
    for wire in [Wire::Http1, Wire::Http2] {
        for nth in 0..5 {
            let answer = WebCall::new("Echo", &large).over(wire).token(None).send(&world).await;
            assert_eq!(answer.reason(), "CREDENTIALS_MISSING", "{wire:?} {nth}");
            let answer = WebCall::new("Echo", &large).over(wire).send(&world).await;
            assert_eq!(answer.reason(), "MESSAGE_TOO_LARGE", "{wire:?} {nth}");
        }
    }
}

/// A client that looks at the answer only when it has sent everything, as most do.
async fn write_all_then_read(world: &World, message: &Ask, token: Option<&str>) -> String {
    let body = frame(0, &message.encode_to_vec());
    let token =
        token.map_or(String::new(), |it| format!("authorization: Bearer {}\r\n", world.trust.token(it)));
    let head = format!(
        "POST /caremesh.probe.v1.ProbeService/Echo HTTP/1.1\r\nhost: localhost\r\n{token}\
         content-type: application/grpc-web+proto\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tls(world, b"http/1.1").await;
    stream.write_all(head.as_bytes()).await.expect("open");
    stream.write_all(&body).await.expect("open to the last byte");
    stream.flush().await.expect("open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("not reset");
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn an_announced_giant_is_refused_before_it_is_sent() {
    let (world, _probe) = World::with_probe().await;
    let begun = Instant::now();
    // The prefix announces 4 GiB; the rest never comes, and the body never ends.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<http_body::Frame<Bytes>, std::io::Error>>(1);
    sender
        .send(Ok(http_body::Frame::data(Bytes::from_static(&[0, 255, 255, 255, 255]))))
        .await
        .expect("open");
    let call = WebCall::new("Echo", &ask("")).over(Wire::Http2);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let answer = read(send(&world, Wire::Http2, call.request(&world, body)).await, false).await;
    assert_eq!(answer.reason(), "MESSAGE_TOO_LARGE");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(sender);
}

#[tokio::test]
async fn a_slow_sender_runs_into_the_deadline() {
    let (world, _probe) = World::with_probe().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let (sender, receiver) =
            tokio::sync::mpsc::channel::<Result<http_body::Frame<Bytes>, std::io::Error>>(1);
        sender.send(Ok(http_body::Frame::data(Bytes::from_static(&[0, 0, 0])))).await.expect("open");
        let call = WebCall::new("Echo", &ask("")).over(wire).header("grpc-timeout", "300m");
        let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let answer = read(send(&world, wire, call.request(&world, body)).await, false).await;
        readable(&answer);
        assert_eq!(
            (answer.code(), answer.reason().as_str()),
            (Code::DeadlineExceeded, "DEADLINE"),
            "{wire:?}"
        );
        drop(sender);
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_headers_is_closed() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.header_timeout_ms = 300).await;
    for (alpn, start) in [
        (&b"http/1.1"[..], &b"POST /caremesh.probe.v1.ProbeService/Echo HTTP/1.1\r\nhost: loc"[..]),
        (b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (b"h2", b""),
    ] {
        let mut stream = tls(&world, alpn).await;
        stream.write_all(start).await.expect("open");
        stream.flush().await.expect("open");
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{alpn:?} must be closed");
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn unknown_and_internal_methods_are_unimplemented_alike() {
    let (world, _probe) = World::with_probe().await;
    for path in [
        "/caremesh.probe.v1.ProbeService/Hidden",
        "/caremesh.probe.v1.BackstageService/Whisper",
        "/caremesh.probe.v1.ProbeService/Nothing",
        "/no.such.Service/Method",
        "/nonsense",
    ] {
        let mut call = WebCall::new("", &ask(""));
        call.path = path.to_owned();
        let answer = call.send(&world).await;
        readable(&answer);
        assert_eq!(answer.code(), Code::Unimplemented, "{path}");
        assert_eq!(answer.reason(), "METHOD_UNKNOWN", "{path}");
    }
    let client = Connection::open(&world).await;
    let status = client.unary("/no.such.Service/Method", ask("")).await.expect_err("unknown");
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn rubbish_of_every_kind_leaves_the_gateway_standing() {
    let (world, _probe) = World::with_probe().await;
    for rubbish in [&b"\x00\x01\x02\x03\x04"[..], b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n"] {
        for alpn in [&b"http/1.1"[..], b"h2"] {
            let mut stream = tls(&world, alpn).await;
            stream.write_all(rubbish).await.expect("open");
            stream.shutdown().await.expect("open");
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        }
    }
    let mut plain = tokio::net::TcpStream::connect(world.address).await.expect("listens");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("open");
    drop(plain);
    still_serves(&world).await;
}

#[tokio::test]
async fn reflection_for_operators_is_closed_to_members() {
    let (world, _probe) = World::with_probe_and(|config| {
        config.reflection = caremesh_gateway::ReflectionAccess::Operators;
    })
    .await;
    let client = Connection::open(&world).await;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for (token, code) in [("member-1", Code::PermissionDenied), ("operator", Code::Ok)] {
        let found = match client.stream(path, with_token(ask(""), &world.trust.token(token))).await {
            Ok(mut stream) => stream.message().await.err().map_or(Code::Ok, |status| status.code()),
            Err(status) => status.code(),
        };
        // The operator gets past the gate; the empty question is no question, which reflection says.
        let expected = if code == Code::Ok { Code::InvalidArgument } else { code };
        assert_eq!(found, expected, "{token}");
    }
}
