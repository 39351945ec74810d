//! What somebody can do who wants harm and has a certificate of the mesh: each attack gets its right answer beyond the
//! limits that are configured, and meanwhile another caller is served.

use std::io::Write as _;
use std::time::Duration;

use caremesh_mesh::CommonReason;
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::status::Answer;
use caremesh_testkit::http2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, HEADERS, PING, RST_STREAM,
    frame, header_block,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::world::{Client, World};

/// Long enough for a loaded machine, short enough to call it at once.
const SOON: Duration = Duration::from_secs(10);
/// What a body's window lets through at first, and far beyond what one read takes.
const BEGUN: [u8; 6] = [0, 0, 0, 0, 9, 0x0a];

/// Another caller, on a connection of its own, without a second try.
async fn others_are_served(world: &World) {
    let client = Client::of(world.running.address);
    let answer = timeout(SOON, client.ask("AskOpen", "ok", &[])).await.expect("in time");
    assert_eq!(answer.expect("served"), "ok");
}

async fn attacker(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.running.address).await.expect("connected");
    http2::greet(&mut stream).await;
    stream
}

fn call(method: &str) -> Vec<u8> {
    header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &format!("/caremesh.probe.v1.ProbeService/{method}")),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// So many calls whose message never comes whole.
async fn slow_bodies(world: &World, count: u32) -> TcpStream {
    let mut stream = attacker(world).await;
    for nth in 0..count {
        let begun =
            [frame(HEADERS, END_HEADERS, nth * 2 + 1, &call("AskOpen")), frame(DATA, 0, nth * 2 + 1, &BEGUN)];
        stream.write_all(&begun.concat()).await.expect("open");
    }
    sleep(Duration::from_millis(200)).await;
    stream
}

fn few_places(config: &mut ServerConfig) {
    config.admission.max_calls = 4;
    config.admission.min_calls = 4;
    config.admission.max_waiting = 4;
    config.admission.max_wait_ms = 100;
    config.admission.max_arrival_ms = 4_500;
}

#[tokio::test]
async fn requests_that_never_come_whole_take_no_place_from_others_and_end() {
    let world = World::with(few_places).await;
    let begun = Instant::now();
    let mut slow = slow_bodies(&world, 100).await;
    for _ in 0..10 {
        others_are_served(&world).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(4_300), "they were all there: {:?}", begun.elapsed());
    // Their time over, each is told so, and the connection is as good as any.
    sleep(Duration::from_millis(4_700)).await;
    let again = [
        frame(HEADERS, END_HEADERS, 1_001, &call("AskOpen")),
        frame(DATA, END_STREAM, 1_001, &[0, 0, 0, 0, 4, 0x0a, 2, b'o', b'k']),
    ];
    slow.write_all(&again.concat()).await.expect("open");
    assert_eq!(http2::end(&mut slow, Duration::from_millis(500)).await, End::Open);
    others_are_served(&world).await;
}

#[tokio::test]
async fn what_waits_for_its_last_byte_is_bounded_over_all_connections() {
    let world = World::with(|config| {
        few_places(config);
        config.admission.max_arriving_bytes = 64 * 1024;
        config.admission.max_arrival_ms = 5_000;
    })
    .await;
    let mut stream = attacker(&world).await;
    let piece = [&[0, 0, 1, 0, 0][..], &[7; 15 * 1024]].concat();
    for nth in 0..40 {
        let begun =
            [frame(HEADERS, END_HEADERS, nth * 2 + 1, &call("AskOpen")), frame(DATA, 0, nth * 2 + 1, &piece)];
        stream.write_all(&begun.concat()).await.expect("open");
    }
    sleep(Duration::from_millis(200)).await;
    // The room is full: who needs it too is told to come back, who comes whole needs none.
    let long =
        tonic::Request::new(super::probe::AskRequest { script: "ok".to_owned(), padding: vec![7; 500_000] });
    let refused = Client::of(world.running.address).unary("AskOpen", long).await.expect_err("no room");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(Answer::of(&refused).retry_after.is_some());
    others_are_served(&world).await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_own_connection_and_no_other() {
    let world = World::with(|config| config.http2.max_pending_accept_reset_streams = 50).await;
    let mut stream = attacker(&world).await;
    let mut flood = Vec::new();
    for nth in 0..4_000_u32 {
        let id = nth * 2 + 1;
        flood.extend(frame(HEADERS, END_HEADERS, id, &call("AskOpen")));
        flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    http2::flood(&mut stream, &flood, 1, SOON).await;
    let end = http2::end(&mut stream, SOON).await;
    assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Closed), "{end:?}");
    others_are_served(&world).await;
}

#[tokio::test]
async fn calls_that_break_the_protocol_again_and_again_end_their_connection() {
    let world = World::with(|config| config.http2.max_local_error_reset_streams = 20).await;
    let mut stream = attacker(&world).await;
    // A body of five bytes is announced and none comes: this server resets the stream (RFC 9113, section 8.1.1).
    let headers = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/caremesh.probe.v1.ProbeService/AskOpen"),
        (":authority", "localhost"),
        ("content-length", "5"),
    ]);
    let flood: Vec<u8> = (0..200_u32)
        .flat_map(|nth| frame(HEADERS, END_HEADERS | END_STREAM, nth * 2 + 1, &headers))
        .collect();
    http2::flood(&mut stream, &flood, 1, SOON).await;
    let end = http2::end(&mut stream, SOON).await;
    assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Closed), "{end:?}");
    others_are_served(&world).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone() {
    let world = World::with(|config| {
        config.http2.keepalive_interval_s = 1;
        config.http2.keepalive_timeout_s = 1;
    })
    .await;
    let mut stream = attacker(&world).await;
    let begun = Instant::now();
    assert_ne!(http2::end(&mut stream, SOON).await, End::Open);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    others_are_served(&world).await;
}

#[tokio::test]
async fn more_streams_than_the_settings_allow_are_refused() {
    let world = World::with(|config| config.http2.max_concurrent_streams = 10).await;
    let mut stream = attacker(&world).await;
    for nth in 0..200_u32 {
        let open = frame(HEADERS, END_HEADERS, nth * 2 + 1, &call("AskOpen"));
        if stream.write_all(&open).await.is_err() {
            break;
        }
    }
    others_are_served(&world).await;
}

#[tokio::test]
async fn a_flood_of_pings_that_reads_no_answer_is_not_kept_in_memory() {
    let world = World::new().await;
    let before = super::admission::resident_kb();
    let mut stream = attacker(&world).await;
    let flood = frame(PING, 0, 0, &[7; 8]).repeat(2_000);
    http2::flood(&mut stream, &flood, 500, Duration::from_millis(500)).await;
    others_are_served(&world).await;
    let grown = super::admission::resident_kb().saturating_sub(before);
    // A million pongs would be 17 MB and more; other tests of this process run beside.
    assert!(grown < 64 * 1024, "{grown} kB");
}

#[tokio::test]
async fn headers_without_an_end_close_their_connection() {
    let world = World::new().await;
    let mut stream = attacker(&world).await;
    let piece = header_block(&[("x-filler", &"x".repeat(8_000))]);
    stream.write_all(&frame(HEADERS, 0, 1, &piece)).await.expect("open");
    let more = frame(CONTINUATION, 0, 1, &piece);
    http2::flood(&mut stream, &more, 2_000, Duration::from_secs(2)).await;
    let end = http2::end(&mut stream, SOON).await;
    assert!(matches!(end, End::GoAway(_) | End::Closed), "{end:?}");
    others_are_served(&world).await;
}

#[tokio::test]
async fn what_is_no_http_2_is_closed() {
    let world = World::new().await;
    let prefaces: [&[u8]; 4] = [
        b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n........................",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        &[0xff; 64],
        &[0; 64],
    ];
    for preface in prefaces {
        let mut stream = TcpStream::connect(world.running.address).await.expect("connected");
        stream.write_all(preface).await.expect("open");
        assert_ne!(http2::end(&mut stream, SOON).await, End::Open, "{preface:?}");
    }
    others_are_served(&world).await;
}

#[tokio::test]
async fn an_encoding_that_is_not_spoken_and_a_bomb_in_one_that_is_are_refused() {
    let world = World::new().await;
    for (encoding, code) in [("br", Code::Unimplemented), ("gzip", Code::ResourceExhausted)] {
        let status = world.client.raw_encoded("AskOpen", encoding, &bomb()).await;
        assert_eq!(status.code(), code, "{encoding}: {status:?}");
    }
    let rubbish = world.client.raw_encoded("AskOpen", "gzip", &[1, 0, 0, 0, 3, 7, 7, 7]).await;
    assert!(Answer::of(&rubbish).is(CommonReason::MessageMalformed), "{rubbish:?}");
    others_are_served(&world).await;
}

/// A compressed message of 64 MB, about 64 kB on the wire.
fn bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        gzip.write_all(&vec![0; 1 << 20]).expect("memory");
    }
    let packed = gzip.finish().expect("memory");
    let length = u32::try_from(packed.len()).expect("short").to_be_bytes();
    [&[1][..], &length, &packed].concat()
}

#[tokio::test]
async fn trailers_in_the_middle_of_a_call_harm_nobody() {
    let world = World::new().await;
    let mut stream = attacker(&world).await;
    let call = [
        frame(HEADERS, END_HEADERS, 1, &call("AskOpen")),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &header_block(&[("grpc-status", "0")])),
        frame(DATA, END_STREAM, 1, &[0, 0, 0, 0, 4, 0x0a, 2, b'o', b'k']),
    ];
    stream.write_all(&call.concat()).await.expect("open");
    others_are_served(&world).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_keep_no_place() {
    let world = World::with(few_places).await;
    let mut stream = attacker(&world).await;
    for nth in 0..200_u32 {
        let asked = [
            frame(HEADERS, END_HEADERS, nth * 2 + 1, &call("AskOpen")),
            frame(DATA, END_STREAM, nth * 2 + 1, &[0, 0, 0, 0, 4, 0x0a, 2, b'o', b'k']),
        ];
        stream.write_all(&asked.concat()).await.expect("open");
    }
    others_are_served(&world).await;
}

#[tokio::test]
async fn thousands_of_connections_that_say_nothing_leave_room_for_others() {
    let world = World::new().await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        let Ok(Ok(stream)) = timeout(SOON, TcpStream::connect(world.running.address)).await else { break };
        idle.push(stream);
    }
    assert!(idle.len() > 300, "{} connections", idle.len());
    others_are_served(&world).await;
}
