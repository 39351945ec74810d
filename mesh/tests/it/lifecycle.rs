//! How a server ends: told to stop, it finishes what runs, takes nothing new, and cuts what hangs.

use std::time::Duration;

use caremesh_mesh::CommonReason;
use caremesh_mesh::lifecycle::Drained;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use super::health::{admin, becomes};
use super::world::{Client, World, request};

#[tokio::test]
async fn a_call_under_way_is_finished_and_the_drain_is_clean() {
    let world = World::new().await;
    let client = world.client.clone();
    let call = tokio::spawn(async move { client.ask("AskOpen", "sleep:400", &[]).await });
    sleep(Duration::from_millis(150)).await;
    world.life.end_softly();
    assert_eq!(call.await.expect("the task").expect("finished"), "sleep");
    let start = Instant::now();
    assert_eq!(world.running.ended().await, Drained::Clean);
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_hung_stream_is_cut_when_the_drain_is_over() {
    let world = World::with(|config| config.shutdown.drain_ms = 300).await;
    let mut stream = world.client.stream("Watch", request("one hang", &[])).await.expect("a stream");
    stream.message().await.expect("in time").expect("a message");
    let start = Instant::now();
    world.life.end_softly();
    assert!(matches!(world.running.ended().await, Drained::Cut { .. }));
    assert!((250..1_500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(stream.message().await.is_err(), "the caller sees the connection break");
}

#[tokio::test]
async fn a_connection_that_never_spoke_does_not_hold_up_the_end() {
    let world = World::with(|config| config.shutdown.drain_ms = 20_000).await;
    let mut silent = tokio::net::TcpStream::connect(world.running.address).await.expect("connected");
    let mut half = tokio::net::TcpStream::connect(world.running.address).await.expect("connected");
    half.write_all(b"PRI * HTTP/2.0").await.expect("half a preface");
    world.ask_open("ok").await.expect("the server runs");
    let start = Instant::now();
    world.life.end_softly();
    assert_eq!(world.running.ended().await, Drained::Clean);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(silent.shutdown().await);
}

#[tokio::test]
async fn before_the_drain_the_server_says_that_it_is_not_serving() {
    let world = World::with(|config| config.shutdown.notice_ms = 800).await;
    becomes(&world, "readiness", "SERVING").await;
    let address = world.running.address;
    world.life.end_softly();
    becomes(&world, "readiness", "NOT_SERVING").await;
    assert!(admin(&world, "/readyz").await.contains("draining"));
    assert_eq!(world.ask_open("ok").await.expect("still served within the notice"), "ok");
    assert_eq!(world.running.ended().await, Drained::Clean);
    assert!(Client::of(address).ask("AskOpen", "ok", &[]).await.is_err());
}

#[tokio::test]
async fn a_hard_end_waits_for_nothing() {
    let world = World::with(|config| config.shutdown.drain_ms = 60_000).await;
    let mut stream = world.client.stream("Watch", request("one hang", &[])).await.expect("a stream");
    stream.message().await.expect("in time").expect("a message");
    let start = Instant::now();
    world.life.end_hard();
    world.running.ended().await;
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_connection_is_renewed_by_age_without_failing_a_call() {
    let world = World::with(|config| config.http2.max_age_s = 1).await;
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < Duration::from_millis(2_600) {
        assert_eq!(world.ask_open("sleep:20").await.expect("no call is lost"), "sleep");
        calls += 1;
    }
    assert!(calls > 20, "{calls}");
    assert!(world.peers() > 1, "the connection was never renewed");
}

#[tokio::test]
async fn a_stream_that_waits_for_news_is_told_and_the_drain_is_clean() {
    let world = World::with(|config| {
        config.shutdown.stream_grace_ms = 200;
        config.shutdown.drain_ms = 20_000;
    })
    .await;
    let client = world.client.clone();
    let waiting = tokio::spawn(async move { client.watch("Watch", "one hang", &[]).await });
    let client = world.client.clone();
    let ending = tokio::spawn(async move { client.watch("Watch", "one sleep:250 two", &[]).await });
    sleep(Duration::from_millis(150)).await;
    let start = Instant::now();
    world.life.end_softly();
    assert_eq!(world.running.ended().await, Drained::Clean);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let (said, ended) = waiting.await.expect("the task");
    assert_eq!(said, ["one"]);
    assert!(ended.expect_err("told").is(CommonReason::Draining));
    let (said, ended) = ending.await.expect("the task");
    assert_eq!((said.len(), ended.is_ok()), (3, true), "a stream that ends within the grace reaches its end");
}
