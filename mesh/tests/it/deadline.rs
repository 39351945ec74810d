//! Deadlines: the caller's and the contract's, over the head and over the whole body, with code 4.

use std::time::Duration;

use caremesh_mesh::CommonReason;
use tokio::time::Instant;
use tonic::Code;

use super::world::{World, request};

const SOON: (&str, &str) = ("grpc-timeout", "100m");

#[tokio::test]
async fn a_unary_call_past_the_callers_deadline_is_answered_with_code_4_and_its_reason() {
    let world = World::new().await;
    let start = Instant::now();
    let refused = world.client.ask("AskOpen", "sleep:3000", &[SOON]).await.expect_err("too late");
    assert_eq!(refused.code, Code::DeadlineExceeded);
    assert!(refused.is(CommonReason::Deadline), "the server's answer, not the client's guess: {refused:?}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_contracts_deadline_holds_when_the_caller_sets_none_or_a_later_one() {
    let world = World::new().await;
    for headers in [&[("test-role", "MEMBER")][..], &[("test-role", "MEMBER"), ("grpc-timeout", "1H")][..]] {
        let start = Instant::now();
        let refused = world.client.ask("Ask", "sleep:4000", headers).await.expect_err("too late");
        assert!(refused.is(CommonReason::Deadline), "{refused:?}");
        assert!((900..2_500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_stream_is_cut_in_the_middle_and_ends_with_code_4_in_its_trailers() {
    let world = World::new().await;
    let headers = [("grpc-timeout", "250m")];
    let (said, ended) = world.client.watch("Watch", "one sleep:100 two hang", &headers).await;
    assert_eq!(said, ["one", "sleep", "two"], "what came in time was delivered");
    assert!(ended.expect_err("cut").is(CommonReason::Deadline));
}

#[tokio::test]
async fn a_stream_that_is_never_waited_for_is_cut_too() {
    let world = World::new().await;
    // Many messages, each after a moment: the body is ready again and again.
    let script = vec!["sleep:5"; 400].join(" ");
    let (said, ended) = world.client.watch("Watch", &script, &[("grpc-timeout", "200m")]).await;
    assert!(said.len() < 60, "{} messages", said.len());
    assert!(ended.expect_err("cut").is(CommonReason::Deadline));
}

#[tokio::test]
async fn the_deadline_covers_finding_out_who_calls() {
    let world = World::new().await;
    let headers = [SOON, ("test-slow-ms", "3000")];
    let refused = world.client.ask("AskOpen", "ok", &headers).await.expect_err("too late");
    assert!(refused.is(CommonReason::Deadline), "{refused:?}");
}

#[tokio::test]
async fn a_caller_that_gives_no_time_gets_no_work() {
    let world = World::new().await;
    let refused = world.client.ask("AskOpen", "ok", &[("grpc-timeout", "0m")]).await.expect_err("no time");
    assert!(refused.is(CommonReason::Deadline), "{refused:?}");
    assert_eq!(world.believer.asked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_malformed_timeout_is_refused_by_name() {
    let world = World::new().await;
    let refused =
        world.client.ask("AskOpen", "ok", &[("grpc-timeout", "soon")]).await.expect_err("malformed");
    assert!(refused.is(CommonReason::FieldInvalid), "{refused:?}");
    assert_eq!(refused.fields, [("grpc-timeout".to_owned(), "grpc_timeout.form".to_owned())]);
}

#[tokio::test]
async fn a_handler_sees_what_remains() {
    let world = World::new().await;
    let said = world.client.ask("AskOpen", "remaining", &[("grpc-timeout", "700m")]).await.expect("in time");
    let remaining: u64 = said.parse().expect("milliseconds");
    assert!((300..=700).contains(&remaining), "{remaining}");
}

#[tokio::test]
async fn a_lost_caller_ends_the_handlers_work() {
    let world = World::with(|config| config.admission.max_calls = 1).await;
    let call = world.client.unary("AskOpen", request("sleep:4000", &[]));
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    // The one place is free again long before the handler would have ended.
    let start = Instant::now();
    assert_eq!(world.ask_open("ok").await.expect("a place"), "ok");
    assert!(start.elapsed() < Duration::from_secs(2));
}
