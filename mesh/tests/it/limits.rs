//! Limits of a connection: size of a message, of the headers; resets.

use std::collections::HashMap;

use caremesh_mesh::CommonReason;
use caremesh_mesh::status::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use super::probe::AskRequest;
use super::world::{World, request};

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_its_reason_and_the_connection_lives_on() {
    let world = World::with(|config| config.http2.max_message_bytes = 10_000).await;
    for (length, fits) in [(9_000, true), (10_001, false), (3_000_000, false)] {
        let message = AskRequest { script: "ok".to_owned(), padding: vec![1; length] };
        let answer = world.client.unary("AskOpen", Request::new(message)).await;
        assert_eq!(answer.is_ok(), fits, "{length}");
        if let Err(status) = answer {
            let answer = Answer::of(&status);
            assert!(answer.is(CommonReason::MessageTooLarge), "{status:?}");
            assert_eq!(answer.code, Code::ResourceExhausted);
            assert_eq!(answer.metadata["limit_bytes"], "10000");
        }
    }
    assert_eq!(world.ask_open("ok").await.expect("the connection lives on"), "ok");
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused_as_malformed() {
    let world = World::new().await;
    // Field 1 as a varint, where a string belongs.
    let status = world.client.raw("AskOpen", &[0, 0, 0, 0, 2, 0x08, 0x01]).await;
    assert!(Answer::of(&status).is(CommonReason::MessageMalformed), "{status:?}");
    // A frame that says "compressed" without saying how, and no frame at all.
    let status = world.client.raw("AskOpen", &[1, 0, 0, 0, 0]).await;
    assert!(Answer::of(&status).is(CommonReason::MessageMalformed), "{status:?}");
    let status = world.client.raw("AskOpen", &[]).await;
    assert!(Answer::of(&status).is(CommonReason::MessageMalformed), "{status:?}");
}

#[tokio::test]
async fn headers_over_the_limit_fail_their_own_call_only() {
    let world = World::with(|config| config.http2.max_header_list_bytes = 8_192).await;
    let long = "x".repeat(20_000);
    let refused = world.client.unary("AskOpen", request("ok", &[("test-long", &long)])).await;
    assert!(refused.is_err());
    assert_eq!(world.ask_open("ok").await.expect("the connection lives on"), "ok");
}

#[tokio::test]
async fn a_search_box_that_cancels_at_every_key_keeps_its_connection() {
    let world = World::new().await;
    for _ in 0..150 {
        let call = world.client.unary("AskOpen", request("sleep:500", &[]));
        drop(tokio::time::timeout(std::time::Duration::from_millis(1), call).await);
    }
    assert_eq!(world.ask_open("ok").await.expect("the connection lives on"), "ok");
    assert_eq!(world.peers(), 1, "one connection all along");
}

#[tokio::test]
async fn the_servers_settings_say_its_limits() {
    let world = World::with(|config| {
        config.http2.max_concurrent_streams = 77;
        config.http2.max_header_list_bytes = 12_345;
    })
    .await;
    let settings = first_settings(&world).await;
    // RFC 9113, section 6.5.2. tonic's own builder leaves the first out, which means "unlimited".
    assert_eq!(settings.get(&0x3), Some(&77), "MAX_CONCURRENT_STREAMS in {settings:?}");
    assert_eq!(settings.get(&0x6), Some(&12_345), "MAX_HEADER_LIST_SIZE in {settings:?}");
}

/// The first frame a server sends: its settings, by number.
async fn first_settings(world: &World) -> HashMap<u16, u32> {
    let mut stream = TcpStream::connect(world.running.address).await.expect("connected");
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    stream.write_all(&empty_settings).await.expect("sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "a SETTINGS frame");
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut body).await.expect("its body");
    let number = |at: &[u8]| u16::from_be_bytes([at[0], at[1]]);
    let value = |at: &[u8]| u32::from_be_bytes([at[2], at[3], at[4], at[5]]);
    body.chunks_exact(6).map(|setting| (number(setting), value(setting))).collect()
}
