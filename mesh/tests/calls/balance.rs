//! Which replica a call goes to, and which it is spared. Each test fails when its layer is taken out of the list.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use caremesh_mesh::{
    client::{Channel, ChannelBuilder, ClientConfig, Resolver},
    layer::Response,
};
use caremesh_testkit::identity::TestAuthority;
use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::probe::{HEDGED, NEVER, Probe, SAFE, call, contract, error, ok};

/// Replicas of one service, each with its script.
struct Replicas {
    authority: TestAuthority,
    probes: Vec<Probe>,
}

type Answer = fn() -> futures::future::BoxFuture<'static, Response>;

fn quick() -> futures::future::BoxFuture<'static, Response> {
    async { ok() }.boxed()
}

fn slow() -> futures::future::BoxFuture<'static, Response> {
    async {
        sleep(Duration::from_millis(300)).await;
        ok()
    }
    .boxed()
}

fn broken() -> futures::future::BoxFuture<'static, Response> {
    async { error(Code::Internal) }.boxed()
}

fn hung() -> futures::future::BoxFuture<'static, Response> {
    futures::future::pending().boxed()
}

impl Replicas {
    async fn start(answers: &[Answer]) -> Self {
        let authority = TestAuthority::new().expect("an authority");
        let identity = authority.workload("svc-probe").expect("an identity");
        let starts = answers.iter().map(|answer| {
            let answer = *answer;
            Probe::start(&identity, move |_, _| answer())
        });
        let probes = join_all(starts).await;
        Self { authority, probes }
    }

    fn addresses(&self) -> String {
        self.probes.iter().map(Probe::url).collect::<Vec<_>>().join(",")
    }

    fn builder(&self, config: ClientConfig) -> ChannelBuilder {
        let identity = self.authority.workload("svc-caller").expect("an identity");
        ChannelBuilder::new(identity, contract()).with_config(config)
    }

    fn channel(&self, config: ClientConfig) -> Channel {
        self.builder(config).build("svc-probe", &self.addresses()).expect("addresses")
    }

    fn calls(&self) -> Vec<usize> {
        self.probes.iter().map(Probe::calls).collect()
    }
}

/// Connections to every replica, so that a test counts calls and not handshakes.
async fn connected(replicas: &Replicas, config: ClientConfig) -> Channel {
    let channel = replicas.channel(config);
    for _ in 0..3 {
        let warming = (0..20).map(|_| call(&channel, HEDGED));
        join_all(warming).await;
        sleep(Duration::from_millis(100)).await;
    }
    channel
}

fn only_balance() -> ClientConfig {
    ClientConfig { max_attempts: 1, hedge_after_ms: 60_000, ..ClientConfig::default() }
}

#[tokio::test]
async fn every_replica_of_a_list_is_given_its_share() {
    let replicas = Replicas::start(&[quick, quick, quick]).await;
    let channel = connected(&replicas, only_balance()).await;
    let before = replicas.calls();
    for _ in 0..30 {
        join_all((0..10).map(|_| call(&channel, SAFE)))
            .await
            .into_iter()
            .for_each(|done| done.expect("answered"));
    }
    for (now, before) in replicas.calls().iter().zip(before) {
        assert!(now - before > 30, "of 300 calls: {:?}", replicas.calls());
    }
}

#[tokio::test]
async fn slow_replica_is_given_few_calls() {
    let replicas = Replicas::start(&[quick, slow, quick]).await;
    let channel = connected(&replicas, only_balance()).await;
    let before = replicas.calls();
    for _ in 0..40 {
        join_all((0..5).map(|_| call(&channel, SAFE))).await;
    }
    let given = replicas.calls()[1] - before[1];
    assert!(given <= 20, "{given} of 200 calls went to the slow one");
}

#[tokio::test]
async fn replicas_are_found_and_forgotten_as_the_name_resolves() {
    let replicas = Replicas::start(&[quick, quick]).await;
    let known: Arc<Mutex<Vec<SocketAddr>>> = Arc::new(Mutex::new(vec![replicas.probes[0].address]));
    let asked = known.clone();
    let resolver = Resolver::new(move |_, _| {
        let found = asked.lock().expect("a lock").clone();
        async move { Ok(found) }.boxed()
    });
    let config = ClientConfig { resolve_every_ms: 20, ..only_balance() };
    let channel = replicas.builder(config).resolving_with(resolver);
    let channel = channel.build("svc-probe", "https://svc-probe.mesh:443").expect("an address");
    for _ in 0..20 {
        call(&channel, SAFE).await.expect("answered");
    }
    assert_eq!(replicas.calls(), [20, 0]);
    *known.lock().expect("a lock") = vec![replicas.probes[1].address];
    sleep(Duration::from_millis(300)).await;
    let before = replicas.calls();
    for _ in 0..20 {
        call(&channel, SAFE).await.expect("answered");
    }
    assert_eq!(replicas.calls(), [before[0], before[1] + 20]);
    // A resolver that is down says nothing about replicas.
    known.lock().expect("a lock").clear();
    sleep(Duration::from_millis(100)).await;
    call(&channel, SAFE).await.expect("answered");
}

#[tokio::test]
async fn replica_that_fails_is_ejected_and_comes_back_by_a_probe() {
    let replicas = Replicas::start(&[quick, broken]).await;
    let config = ClientConfig { ejection_ms: 400, ..only_balance() };
    let channel = connected(&replicas, config).await;
    let ejected = replicas.calls()[1];
    let mut failed = 0;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        failed += usize::from(call(&channel, SAFE).await.is_err());
        call(&channel, NEVER).await.expect("what is sent once is not sent to a replica on probation");
        sleep(Duration::from_millis(5)).await;
    }
    let probes = replicas.calls()[1] - ejected;
    assert!((1..=8).contains(&probes), "{probes} probes");
    assert!(failed <= probes, "only probes meet the broken one");
}

#[tokio::test]
async fn call_that_never_left_goes_to_another_replica_whatever_its_method() {
    let mut replicas = Replicas::start(&[quick, quick]).await;
    let addresses = replicas.addresses();
    replicas.probes[0].stop().await;
    let channel = replicas.builder(only_balance()).build("svc-probe", &addresses).expect("addresses");
    for _ in 0..20 {
        call(&channel, NEVER).await.expect("the other replica answers");
    }
}

#[tokio::test]
async fn next_try_goes_to_another_replica() {
    fn away() -> futures::future::BoxFuture<'static, Response> {
        async { error(Code::Unavailable) }.boxed()
    }
    let replicas = Replicas::start(&[quick, away]).await;
    let config = ClientConfig { max_attempts: 2, ..only_balance() };
    let channel = connected(&replicas, config).await;
    for _ in 0..10 {
        call(&channel, SAFE).await.expect("the second try finds the one that works");
    }
}

#[tokio::test]
async fn service_that_fails_everywhere_is_spared_until_it_works_again() {
    let replicas = Replicas::start(&[broken]).await;
    let config = ClientConfig { ejection_ms: 1, ..only_balance() };
    let channel = replicas.channel(config);
    for _ in 0..100 {
        call(&channel, SAFE).await.expect_err("it does not work");
    }
    let reached = replicas.calls()[0];
    assert!((20..=25).contains(&reached), "{reached} of 100 calls");
    let refused = call(&channel, SAFE).await.expect_err("held back");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(caremesh_mesh::status::Answer::of(&refused).retry_after.is_some(), "told when to come back");
}

#[tokio::test]
async fn calls_under_way_are_bounded() {
    let replicas = Replicas::start(&[hung]).await;
    let config = ClientConfig { max_calls: 2, ..only_balance() };
    let channel = replicas.channel(config);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, NEVER).await })
        })
        .collect();
    sleep(Duration::from_millis(300)).await;
    let refused = call(&channel, NEVER).await.expect_err("all places are taken");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn second_try_overtakes_a_hung_one_where_the_contract_says_so() {
    let replicas = Replicas::start(&[hung, quick]).await;
    let config = ClientConfig { hedge_after_ms: 30, ..ClientConfig::default() };
    let channel = replicas.channel(config);
    let began = Instant::now();
    for _ in 0..6 {
        call(&channel, HEDGED).await.expect("the other one answers");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn method_that_may_not_be_hedged_is_sent_once() {
    let replicas = Replicas::start(&[slow]).await;
    let config = ClientConfig { hedge_after_ms: 10, ..ClientConfig::default() };
    let channel = replicas.channel(config);
    call(&channel, SAFE).await.expect("answered");
    call(&channel, NEVER).await.expect("answered");
    assert_eq!(replicas.calls(), [2]);
    call(&channel, HEDGED).await.expect("answered");
    assert_eq!(replicas.calls(), [4]);
}

#[tokio::test]
async fn far_side_may_ask_not_to_be_tried_again() {
    fn pushed_back() -> futures::future::BoxFuture<'static, Response> {
        async {
            let mut answer: Response = Status::unavailable("busy").into_http();
            answer.headers_mut().insert("grpc-retry-pushback-ms", http::HeaderValue::from_static("-1"));
            answer
        }
        .boxed()
    }
    let replicas = Replicas::start(&[pushed_back]).await;
    let channel = replicas.channel(ClientConfig::default());
    call(&channel, SAFE).await.expect_err("busy");
    assert_eq!(replicas.calls(), [1]);
}

#[tokio::test]
async fn inside_another_mesh_there_is_one_connection_to_one_name() {
    let replicas = Replicas::start(&[quick, quick]).await;
    let config = ClientConfig { outer_mesh: true, ..ClientConfig::default() };
    let builder = replicas.builder(config);
    let refused = builder.build("svc-probe", &replicas.addresses()).expect_err("two names").to_string();
    assert!(refused.contains("outer_mesh"), "{refused}");
    let channel = builder.build("svc-probe", &replicas.probes[0].url()).expect("one name");
    call(&channel, SAFE).await.expect("answered");
    assert_eq!(replicas.calls(), [1, 0]);
}
