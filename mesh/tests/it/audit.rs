//! The trail: reads before their answer, refusals, and health data that nobody accounted for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use caremesh_mesh::{CommonReason, Touched};

use tokio::time::Instant;

use super::probe::person;
use super::world::{Event, World};

fn event(method: &str, caller: &str, outcome: &str, touched: Vec<Touched>) -> Event {
    Event { method: method.to_owned(), caller: caller.to_owned(), outcome: outcome.to_owned(), touched }
}

fn read() -> Vec<Touched> {
    vec![Touched::read(person(), "pol_1")]
}

#[tokio::test]
async fn what_a_read_touched_is_on_the_trail_when_its_answer_arrives() {
    let world = World::new().await;
    world.ask("touch").await.expect("an answer");
    assert_eq!(world.trail.events(), [event("Ask", "person:https://issuer.test#sub-1", "OK", read())]);
}

#[tokio::test]
async fn what_a_transaction_took_is_not_recorded_again() {
    let world = World::new().await;
    world.ask("write").await.expect("an answer");
    assert_eq!(world.trail.events(), []);
}

#[tokio::test]
async fn being_kept_out_is_an_event_with_its_caller_and_reason() {
    let world = World::new().await;
    world.client.ask("Ask", "ok", &[("test-role", "COURIER")]).await.expect_err("kept out");
    world.client.ask("Ask", "ok", &[]).await.expect_err("kept out");
    world.ask("hidden").await.expect_err("not for this caller to know");
    let expected = [
        event("Ask", "person:https://issuer.test#sub-1", "ROLE_MISSING", vec![]),
        event("Ask", "anonymous", "CREDENTIALS_MISSING", vec![]),
        event("Ask", "person:https://issuer.test#sub-1", "RESOURCE_NOT_FOUND", vec![]),
    ];
    assert_eq!(world.trail.events(), expected);
}

#[tokio::test]
async fn a_refusal_of_the_business_is_no_event() {
    let world = World::new().await;
    world.ask("lapsed").await.expect_err("refused");
    assert_eq!(world.trail.events(), []);
}

#[tokio::test]
async fn health_data_that_nobody_accounted_for_does_not_leave() {
    let world = World::new().await;
    let refused = world.client.ask("AskHealth", "ok", &[]).await.expect_err("withheld");
    assert!(refused.is(CommonReason::Internal));
    world.client.ask("AskHealth", "touch", &[]).await.expect("accounted for");
    world.client.ask("AskHealth", "write", &[]).await.expect("accounted for by a transaction");
}

#[tokio::test]
async fn no_trail_no_answer_but_a_refusal_stands() {
    let world = World::new().await;
    world.trail.broken.store(true, Ordering::Relaxed);
    assert!(world.ask("touch").await.expect_err("withheld").is(CommonReason::DependencyDown));
    let refused = world.client.ask("Ask", "ok", &[("test-role", "COURIER")]).await;
    assert!(refused.expect_err("kept out").is(CommonReason::RoleMissing));
}

#[tokio::test]
async fn each_message_of_a_stream_leaves_after_its_facts() {
    let world = World::new().await;
    let mut stream = world
        .client
        .stream("WatchHealth", super::world::request("touch touch hang", &[]))
        .await
        .expect("a stream");
    for heard in 1..=2 {
        stream.message().await.expect("in time").expect("a message");
        assert!(world.trail.events().iter().map(|event| event.touched.len()).sum::<usize>() >= heard);
    }
    let (said, ended) = world.client.watch("WatchHealth", "one two", &[]).await;
    assert_eq!(said, Vec::<String>::new(), "a message that nobody accounted for does not leave");
    assert!(ended.expect_err("withheld").is(CommonReason::Internal));
}

#[tokio::test]
async fn a_refused_token_is_an_event_of_nobody() {
    let world = World::new().await;
    let refused = world.client.ask("Ask", "ok", &[("test-forged", "1")]).await.expect_err("refused");
    assert!(refused.is(CommonReason::CredentialsInvalid));
    assert_eq!(world.trail.events(), [event("Ask", "anonymous", "CREDENTIALS_INVALID", vec![])]);
}

#[tokio::test]
async fn a_flood_of_bad_tokens_does_not_fill_the_trail_and_is_counted_there() {
    let world = World::new().await;
    let forge = async |times: usize| {
        for _ in 0..times {
            world.client.ask("Ask", "ok", &[("test-forged", "1")]).await.expect_err("refused");
        }
    };
    let start = Instant::now();
    forge(300).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    forge(1).await;
    let events = world.trail.events();
    let most = 62 + usize::try_from(start.elapsed().as_secs()).expect("seconds");
    assert!((60..=most).contains(&events.len()), "{} events", events.len());
    let told =
        |event: &Event| event.outcome.split_once('+').map_or(0, |(_, more)| more.parse().expect("a count"));
    let left_out: usize = events.iter().map(told).sum();
    assert_eq!(events.len() + left_out, 301, "each is an event, or counted in one");
}
