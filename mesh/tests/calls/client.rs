//! How long a call lasts, and what is sent again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use caremesh_kernel::{EpisodeId, PersonId, Uuid};
use caremesh_mesh::{
    CallContext, CallParts, CommonReason, Deadline, Facts, MethodPolicy, Person, Principal, Refusal,
    client::{ClientConfig, request},
    deadline::parse,
    identity::SpiffeId,
    layer::refuse,
    policy::{Purpose, Relationship, Role},
};
use futures::{FutureExt, future::pending};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use secrecy::SecretString;
use tokio::time::Instant;
use tonic::{Code, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::probe::{NEVER, Pair, SAFE, SHORT, call, error, ok, send};

fn principal(token: Option<&str>) -> Principal {
    Principal::of_person(Person {
        issuer: "https://issuer.test".into(),
        subject: "sub-ada".to_owned(),
        person_id: None,
        roles: vec![Role::Member],
        organisation: None,
        token: token.map(|token| Arc::new(SecretString::from(token))),
    })
}

fn context(principal: Principal, left: Duration) -> CallContext {
    CallContext::new(CallParts {
        call_id: "call-1".to_owned(),
        method: Arc::new(MethodPolicy::of_process("svc-caller", "test", Purpose::Payment)),
        principal,
        purpose: Purpose::Payment,
        granted: vec![Relationship::Any],
        deadline: Deadline::after(left),
        trace_parent: None,
        episode_id: Some(EpisodeId::from_uuid(Uuid::from_u128(3))),
        facts: Facts::default(),
        on_behalf_of: Some(PersonId::from_uuid(Uuid::from_u128(9))),
    })
}

/// A probe that keeps the headers of the last request.
async fn listening() -> (Pair, Arc<Mutex<HeaderMap>>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let keep = seen.clone();
    let pair = Pair::start(move |request, _| {
        *keep.lock().expect("a lock") = request.headers().clone();
        async { ok() }.boxed()
    })
    .await;
    (pair, seen)
}

#[tokio::test]
async fn next_hop_is_given_what_is_left_less_the_margin() {
    let (pair, seen) = listening().await;
    let channel = pair.channel();
    call(&channel, SAFE).await.expect("connected");
    let context = context(principal(None), Duration::from_secs(9));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let left = context.deadline().remaining();
    send(&channel, SAFE, request(&context, ())).await.expect("answered");
    let given = parse(seen.lock().expect("a lock")["grpc-timeout"].as_bytes()).expect("a timeout");
    assert!(given <= left - Duration::from_millis(20), "{given:?} was given of {left:?}");
    assert!(given > left - Duration::from_secs(5), "{given:?} was given of {left:?}");
}

#[tokio::test]
async fn contract_and_the_single_call_may_shorten_a_deadline() {
    let (pair, seen) = listening().await;
    let given = || parse(seen.lock().expect("a lock")["grpc-timeout"].as_bytes()).expect("a timeout");
    call(&pair.channel(), SAFE).await.expect("answered");
    assert!(given() <= Duration::from_secs(10) && given() > Duration::from_secs(5));
    let mut one = tonic::Request::new(());
    one.set_timeout(Duration::from_secs(2));
    send(&pair.channel(), SAFE, one).await.expect("answered");
    assert!(given() < Duration::from_secs(2));
}

#[tokio::test]
async fn call_whose_time_is_over_is_not_made() {
    let (pair, _) = listening().await;
    let context = context(principal(None), Duration::from_millis(5));
    let status = send(&pair.channel(), SAFE, request(&context, ())).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(pair.probe.calls(), 0);
}

#[tokio::test]
async fn server_that_never_answers_is_given_up_as_deadline_exceeded() {
    let pair = Pair::start(|_, _| pending().boxed()).await;
    let started = Instant::now();
    let context = context(principal(None), Duration::from_millis(300));
    let status = send(&pair.channel(), SAFE, request(&context, ())).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn deadline_shrinks_from_hop_to_hop_and_ends_the_work_on_both_sides() {
    let ended = Arc::new(tokio::sync::Notify::new());
    let given = Arc::new(Mutex::new(Vec::new()));
    let (notify, seen) = (ended.clone(), given.clone());
    let back = Pair::start(move |request, _| {
        seen.lock().expect("a lock").push(left_to(&request));
        let held = NotifyWhenDropped(notify.clone());
        async move {
            let _held = held;
            pending().await
        }
        .boxed()
    })
    .await;
    let (channel, seen) = (back.channel(), given.clone());
    let front = Pair::start(move |request, _| {
        let left = left_to(&request);
        seen.lock().expect("a lock").push(left);
        let (channel, context) = (channel.clone(), context(principal(None), left));
        async move {
            match send(&channel, SAFE, caremesh_mesh::client::request(&context, ())).await {
                Ok(()) => ok(),
                Err(status) => status.into_http(),
            }
        }
        .boxed()
    })
    .await;
    let context = context(principal(None), Duration::from_secs(3));
    let status = send(&front.channel(), SAFE, request(&context, ())).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // The handler behind two hops is dropped, so that nothing works on for a caller who is gone.
    tokio::time::timeout(Duration::from_secs(5), ended.notified()).await.expect("the last hop stopped");
    let given = given.lock().expect("a lock").clone();
    let margin = Duration::from_millis(20);
    assert!(given[0] <= Duration::from_secs(3) - margin, "{given:?}");
    assert!(given[1] <= given[0] - margin, "{given:?}");
}

struct NotifyWhenDropped(Arc<tokio::sync::Notify>);

impl Drop for NotifyWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn left_to(request: &caremesh_mesh::layer::Request) -> Duration {
    request.extensions().get::<Deadline>().expect("a deadline").remaining()
}

#[tokio::test]
async fn deadline_covers_the_messages_of_a_stream_too() {
    let pair = Pair::start(|_, _| {
        let frames = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, tonic::Status>(Frame::data(bytes::Bytes::from_static(&[0; 5]))), ()))
        });
        let mut response = ok();
        *response.body_mut() = Body::new(StreamBody::new(Box::pin(frames)));
        async { response }.boxed()
    })
    .await;
    let mut grpc = Grpc::new(pair.channel());
    grpc.ready().await.expect("ready");
    let path = http::uri::PathAndQuery::from_static(SHORT);
    let codec = ProstCodec::<(), ()>::default();
    let answer = grpc.server_streaming(tonic::Request::new(()), path, codec).await.expect("a head");
    let mut stream = answer.into_inner();
    let mut messages = 0;
    let status = loop {
        match stream.message().await {
            Ok(Some(())) => messages += 1,
            Ok(None) => panic!("the stream ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!((1..=10).contains(&messages), "{messages} messages in a second");
}

#[tokio::test]
async fn unavailable_is_sent_again_where_the_contract_says_so() {
    let pair = Pair::start(|request, number| {
        let before = request.headers().get("grpc-previous-rpc-attempts").cloned();
        assert_eq!(before.is_some(), number > 1);
        async move { if number < 3 { error(Code::Unavailable) } else { ok() } }.boxed()
    })
    .await;
    call(&pair.channel(), SAFE).await.expect("the third try");
    assert_eq!(pair.probe.calls(), 3);
}

#[tokio::test]
async fn tries_of_one_call_are_counted() {
    let pair = Pair::start(|_, _| async { error(Code::Unavailable) }.boxed()).await;
    assert_eq!(call(&pair.channel(), SAFE).await.expect_err("down").code(), Code::Unavailable);
    assert_eq!(pair.probe.calls(), 3);
}

#[tokio::test]
async fn method_that_may_never_be_sent_again_is_sent_once() {
    let pair = Pair::start(|_, _| async { error(Code::Unavailable) }.boxed()).await;
    assert_eq!(call(&pair.channel(), NEVER).await.expect_err("down").code(), Code::Unavailable);
    assert_eq!(pair.probe.calls(), 1);
}

#[tokio::test]
async fn other_answers_are_final_whatever_the_method() {
    for code in
        [Code::Internal, Code::Aborted, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Unknown]
    {
        let pair = Pair::start(move |_, _| async move { error(code) }.boxed()).await;
        assert_eq!(call(&pair.channel(), SAFE).await.expect_err("an error").code(), code);
        assert_eq!(pair.probe.calls(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn shed_call_comes_back_when_it_was_told_to() {
    let pause = Duration::from_millis(300);
    let pair = Pair::start(move |_, number| {
        let shed = refuse(Refusal::new(CommonReason::Overloaded).retry_after(pause));
        async move { if number == 1 { shed } else { ok() } }.boxed()
    })
    .await;
    let started = Instant::now();
    call(&pair.channel(), SAFE).await.expect("the second try");
    assert!(started.elapsed() >= pause, "came back after {:?}", started.elapsed());
    assert_eq!(pair.probe.calls(), 2);
}

#[tokio::test]
async fn pause_that_does_not_fit_into_the_deadline_ends_the_call_at_once() {
    let pair = Pair::start(|_, _| {
        let shed = refuse(Refusal::new(CommonReason::Overloaded).retry_after(Duration::from_secs(60)));
        async { shed }.boxed()
    })
    .await;
    let started = Instant::now();
    let context = context(principal(None), Duration::from_secs(9));
    let status = send(&pair.channel(), SAFE, request(&context, ())).await.expect_err("shed");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(pair.probe.calls(), 1);
}

#[tokio::test]
async fn retries_end_with_their_budget() {
    let pair = Pair::start(|_, _| async { error(Code::Unavailable) }.boxed()).await;
    // Without the breaker, which would spare the service long before the budget does.
    let config = ClientConfig { max_attempts: 2, breaker_percent: 100, ..ClientConfig::default() };
    let channel = pair.channel_with(config);
    let calls = (0..500).map(|_| call(&channel, SAFE));
    for answer in futures::future::join_all(calls).await {
        assert!(answer.is_err());
    }
    // Ten a second over a window of ten seconds, and a fifth of 500.
    let retries = pair.probe.calls() - 500;
    assert!((100..=220).contains(&retries), "{retries} retries of 500 failed calls");
}

#[tokio::test]
async fn token_call_id_purpose_and_episode_of_the_context_go_along() {
    let (pair, seen) = listening().await;
    let context = context(principal(Some("header.claims.signature")), Duration::from_secs(5));
    send(&pair.channel(), SAFE, request(&context, ())).await.expect("answered");
    let headers = seen.lock().expect("a lock");
    assert_eq!(headers["authorization"], "Bearer header.claims.signature");
    assert_eq!(headers["x-caremesh-call-id"], "call-1");
    assert_eq!(headers["x-caremesh-purpose"], "payment");
    assert!(headers["x-caremesh-episode-id"].to_str().expect("text").starts_with("epi_"));
    assert!(headers.contains_key("traceparent"));
    assert!(!headers.contains_key("x-caremesh-on-behalf-of"), "a token is authority enough");
}

#[tokio::test]
async fn later_step_names_the_person_as_data_and_carries_no_token() {
    let (pair, seen) = listening().await;
    let workload = SpiffeId::new("caremesh.test", "svc-caller").expect("an id");
    let context = context(Principal::of_workload(workload), Duration::from_secs(5));
    send(&pair.channel(), SAFE, request(&context, ())).await.expect("answered");
    let headers = seen.lock().expect("a lock");
    assert!(!headers.contains_key("authorization"));
    assert!(headers["x-caremesh-on-behalf-of"].to_str().expect("text").starts_with("per_"));
}

#[tokio::test]
async fn unknown_method_is_not_sent() {
    let (pair, _) = listening().await;
    let status = call(&pair.channel(), "/probe.v1.ProbeService/Unheard").await.expect_err("refused");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(pair.probe.calls(), 0);
}

#[tokio::test]
async fn broken_connection_is_opened_again() {
    let Pair { authority, mut probe } = Pair::start(|_, _| async { ok() }.boxed()).await;
    let caller = authority.workload("svc-caller").expect("an identity");
    let builder = caremesh_mesh::client::ChannelBuilder::new(caller, crate::probe::contract());
    let channel = builder.build("svc-probe", &probe.url()).expect("an address");
    call(&channel, SAFE).await.expect("answered");
    let address = probe.address;
    probe.stop().await;
    assert_eq!(call(&channel, NEVER).await.expect_err("down").code(), Code::Unavailable);
    let identity = authority.workload("svc-probe").expect("an identity");
    let _again = crate::probe::Probe::start_at(address, &identity, |_, _| async { ok() }.boxed()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    call(&channel, NEVER).await.expect("a new connection");
}
