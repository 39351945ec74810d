//! A handler that panics fails its own call and nothing else.

use caremesh_mesh::CommonReason;
use caremesh_mesh::status::Answer;

use super::world::{World, request};

#[tokio::test]
async fn a_panic_is_internal_without_its_text_and_the_connection_lives_on() {
    let world = World::new().await;
    let beside = world.client.clone();
    let beside = tokio::spawn(async move { beside.ask("AskOpen", "sleep:300", &[]).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let status = world.client.unary("AskOpen", request("panic", &[])).await.expect_err("it panicked");
    assert!(Answer::of(&status).is(CommonReason::Internal));
    assert!(!format!("{status:?}").contains("canary"));
    assert_eq!(beside.await.expect("the other call").expect("an answer"), "sleep");
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_that_stream_with_internal() {
    let world = World::new().await;
    let (said, ended) = world.client.watch("Watch", "one sleep:50 panic", &[]).await;
    assert_eq!(said, ["one"]);
    assert!(ended.expect_err("it panicked").is(CommonReason::Internal));
    assert_eq!(world.ask_open("ok").await.expect("the connection lives on"), "ok");
}
