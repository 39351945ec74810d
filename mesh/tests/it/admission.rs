//! Overload: the calls that fit are served, the rest is told at once when to come back.

use std::time::Duration;

use caremesh_mesh::CommonReason;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::world::{Client, World};

/// Occupies a place for a while.
fn occupy(client: &Client, method: &'static str, script: &'static str) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move {
        // Its outcome is not the point: it is there to be in the way.
        match method {
            "Watch" => drop(client.watch(method, script, &[]).await),
            _ => drop(client.ask(method, script, &[]).await),
        }
    })
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_shed_with_the_time_to_come_back_before_any_work() {
    let world = World::with(|config| {
        config.admission.max_calls = 1;
        config.admission.max_waiting = 0;
        config.admission.retry_after_ms = 750;
    })
    .await;
    let busy = occupy(&world.client, "AskOpen", "sleep:1500");
    sleep(Duration::from_millis(200)).await;
    let refused = world.ask_open("ok").await.expect_err("shed");
    assert_eq!(refused.code, Code::ResourceExhausted);
    assert!(refused.is(CommonReason::Overloaded));
    assert_eq!(refused.retry_after, Some(Duration::from_millis(750)));
    let asked = world.believer.asked.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked, 1, "who calls is not even asked of a call that is shed");
    busy.await.expect("the first call");
    assert_eq!(world.ask_open("ok").await.expect("a free place"), "ok");
}

#[tokio::test]
async fn a_call_waits_for_a_place_but_not_longer_than_it_may() {
    let world = World::with(|config| {
        config.admission.max_calls = 1;
        config.admission.max_wait_ms = 300;
    })
    .await;
    let short = occupy(&world.client, "AskOpen", "sleep:150");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(world.ask_open("ok").await.expect("a place in time"), "ok");
    short.await.expect("the first call");
    let long = occupy(&world.client, "AskOpen", "sleep:1500");
    sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    assert!(world.ask_open("ok").await.expect_err("shed").is(CommonReason::Overloaded));
    assert!(start.elapsed() < Duration::from_millis(1_000));
    long.abort();
}

#[tokio::test]
async fn a_caller_whose_time_is_over_in_the_queue_is_told_so() {
    let world = World::with(|config| {
        config.admission.max_calls = 1;
        config.admission.max_wait_ms = 2_000;
    })
    .await;
    let busy = occupy(&world.client, "AskOpen", "sleep:1500");
    sleep(Duration::from_millis(50)).await;
    let refused = world.client.ask("AskOpen", "ok", &[("grpc-timeout", "100m")]).await;
    assert!(refused.expect_err("too late").is(CommonReason::Deadline));
    busy.abort();
}

#[tokio::test]
async fn streams_and_calls_have_places_of_their_own_and_health_needs_none() {
    let world = World::with(|config| {
        config.admission.max_calls = 1;
        config.admission.max_streams = 1;
        config.admission.max_waiting = 0;
    })
    .await;
    let stream = occupy(&world.client, "Watch", "one hang");
    sleep(Duration::from_millis(150)).await;
    let (_, refused) = world.client.watch("Watch", "one", &[]).await;
    assert!(refused.expect_err("shed").is(CommonReason::Overloaded));
    assert_eq!(world.ask_open("ok").await.expect("calls are not streams"), "ok");
    let call = occupy(&world.client, "AskOpen", "sleep:1000");
    sleep(Duration::from_millis(100)).await;
    assert!(world.ask_open("ok").await.expect_err("shed").is(CommonReason::Overloaded));
    super::health::check(&world, "").await.expect("health answers when all places are taken");
    stream.abort();
    call.abort();
}

#[tokio::test]
async fn never_more_calls_than_places_are_inside_and_all_that_may_wait_are_served() {
    let world = World::with(|config| {
        config.admission.max_calls = 4;
        config.admission.max_waiting = 100;
        config.admission.max_wait_ms = 4_000;
    })
    .await;
    let calls = (0..80).map(|_| world.ask_open("crowd:10"));
    let answers = futures::future::join_all(calls).await;
    let crowds: Vec<usize> =
        answers.into_iter().map(|answer| answer.expect("served").parse().expect("a number")).collect();
    assert_eq!(crowds.iter().max(), Some(&4), "as many as there are places, and not one more");
}

#[tokio::test]
async fn places_of_callers_that_went_away_are_given_back() {
    let world = World::with(|config| {
        config.admission.max_calls = 3;
        config.admission.max_waiting = 4;
        config.admission.max_wait_ms = 200;
    })
    .await;
    // In a place, in the queue, and past it: each leaves at another moment.
    let storm =
        (0..300_u64).map(|turn| {
            let call = world.ask_open("sleep:2000");
            async move {
                tokio::time::timeout(Duration::from_millis(turn % 23), call).await.is_ok_and(|a| a.is_ok())
            }
        });
    futures::future::join_all(storm).await;
    sleep(Duration::from_millis(300)).await;
    let calls = (0..7).map(|_| world.ask_open("crowd:20"));
    for answer in futures::future::join_all(calls).await {
        answer.expect("three places and four turns in the queue are there again");
    }
}
