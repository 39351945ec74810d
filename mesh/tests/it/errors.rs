//! What may leave as an error: reasons the contract declares, and nothing else of what a handler says.

use caremesh_mesh::CommonReason;
use caremesh_mesh::status::Answer;
use tonic::Code;

use super::world::{World, request};

#[tokio::test]
async fn a_declared_reason_goes_out_as_it_is() {
    let world = World::new().await;
    let refused = world.ask("lapsed").await.expect_err("refused");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "LAPSED"));
}

#[tokio::test]
async fn an_undeclared_reason_is_a_fault_of_ours_in_unary_and_stream() {
    let world = World::new().await;
    assert!(world.ask("expired").await.expect_err("refused").is(CommonReason::Internal));
    let (said, ended) = world.client.watch("Watch", "one expired", &[]).await;
    assert_eq!(said, ["one"]);
    assert!(ended.expect_err("refused").is(CommonReason::Internal));
    let (_, declared) = world.client.watch("Watch", "one lapsed", &[]).await;
    assert_eq!(declared.expect_err("refused").reason, "LAPSED");
}

#[tokio::test]
async fn an_error_without_a_reason_loses_its_text() {
    let world = World::new().await;
    let status = world.client.unary("AskOpen", request("raw", &[])).await.expect_err("refused");
    assert!(Answer::of(&status).is(CommonReason::Internal));
    assert!(!format!("{status:?}").contains("canary"), "{status:?}");
    let mut stream = world.client.stream("Watch", request("raw", &[])).await.expect("a stream");
    let status = stream.message().await.expect_err("refused");
    assert!(Answer::of(&status).is(CommonReason::Internal));
    assert!(!format!("{status:?}").contains("canary"), "{status:?}");
}

#[tokio::test]
async fn a_broken_rule_is_named_by_field() {
    let world = World::new().await;
    let refused = world.ask("").await.expect_err("refused");
    assert!(refused.is(CommonReason::FieldInvalid), "{refused:?}");
    assert_eq!(refused.fields, [("script".to_owned(), "string.min_len".to_owned())]);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented_with_its_reason() {
    let world = World::new().await;
    let refused = world.client.ask("Nothing", "ok", &[]).await.expect_err("refused");
    assert_eq!(refused.code, Code::Unimplemented);
    assert!(refused.is(CommonReason::MethodUnknown), "{refused:?}");
}

#[tokio::test]
async fn every_answer_names_its_call() {
    let world = World::new().await;
    let answer = world.client.unary("AskOpen", request("ok", &[])).await.expect("an answer");
    assert!(answer.metadata().contains_key("x-caremesh-call-id"));
    let status = world.client.unary("AskOpen", request("lapsed", &[])).await.expect_err("refused");
    assert!(status.metadata().contains_key("x-caremesh-call-id"));
}
