//! Several replicas of one service: calls go to those that are there, and a restart of one after the
//! other loses no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use caremesh_testkit::fault::{Fault, FaultProxy};
use futures::StreamExt;
use tonic::Code;
use tonic_types::StatusExt;

use crate::native::{Connection, served_by, with_token};
use crate::probe::{Ask, Upstream, ask};
use crate::web::WebCall;
use crate::world::{Trust, World};

async fn two_replicas() -> (World, [Upstream; 2]) {
    let trust = Trust::new().await;
    let replicas = [Upstream::start(&trust).await, Upstream::start(&trust).await];
    let urls = replicas.each_ref().map(Upstream::url).join(", ");
    let world = World::start(trust, |config| {
        config.upstreams.insert("svc-probe".to_owned(), urls);
        config.limits.principal_rate = fast();
        config.limits.address_rate = fast();
    })
    .await;
    world.wait_for("upstream svc-probe serving (2 of 2 replicas)").await;
    (world, replicas)
}

fn fast() -> caremesh_gateway::Rate {
    let number = std::num::NonZeroU32::new(1_000_000).expect("not zero");
    caremesh_gateway::Rate { per_second: number, burst: number }
}

/// A connection over which both replicas have been called, so that neither is slow for being new.
async fn warm(world: &World) -> Connection {
    let client = Connection::open(world).await;
    futures::future::join_all((0..40).map(|_| whoever_serves(&client))).await;
    // Until the time of the first calls is forgotten.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    client
}

async fn whoever_serves(client: &Connection) -> String {
    served_by(&client.unary("Echo", ask("")).await.expect("served"))
}

#[tokio::test]
async fn calls_are_spread_over_the_replicas() {
    let (world, _replicas) = two_replicas().await;
    let client = warm(&world).await;
    let caller = || async {
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(whoever_serves(&client).await);
        }
        seen
    };
    // Several at a time: of one after the other, all may go to whichever was quicker by a hair.
    let seen = futures::future::join_all((0..20).map(|_| caller())).await.concat();
    let mut counts = std::collections::HashMap::<String, u32>::new();
    for name in seen {
        *counts.entry(name).or_default() += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.values().all(|count| *count > 20), "{counts:?}");
}

#[tokio::test]
async fn a_busy_replica_gets_fewer_calls() {
    let (world, replicas) = two_replicas().await;
    let busy = replicas[0].name;
    let client = warm(&world).await;
    let mut held = Vec::new();
    // Streams that stay open make a replica busy; those of the other one end at once.
    while held.len() < 16 {
        let ask = Ask { count: 2, delay_ms: 1_900, ..Ask::default() };
        let asked = with_token(ask, &world.trust.token("member-1"));
        let (name, stream) = client.stream_by("Count", asked).await.expect("begins");
        if name == busy {
            held.push(stream);
        }
    }
    let mut to_busy = 0;
    for _ in 0..40 {
        to_busy += u32::from(whoever_serves(&client).await == busy);
    }
    assert!(to_busy < 10, "{to_busy} of 40 calls went to the busy replica");
}

#[tokio::test]
async fn a_slow_replica_gets_fewer_calls_although_none_waits_for_it() {
    let trust = Trust::new().await;
    let replicas = [Upstream::start(&trust).await, Upstream::start(&trust).await];
    let line = FaultProxy::before(replicas[0].address).await.expect("a port");
    let urls = format!("https://{}, {}", line.address(), replicas[1].url());
    let world = World::start(trust, |config| {
        config.upstreams.insert("svc-probe".to_owned(), urls);
    })
    .await;
    world.wait_for("upstream svc-probe serving (2 of 2 replicas)").await;
    line.set(Fault::Delay(Duration::from_millis(150)));
    let client = Connection::open(&world).await;
    let mut to_slow = 0;
    // One after the other, so that both are idle whenever one is chosen.
    for _ in 0..60 {
        to_slow += u32::from(whoever_serves(&client).await == replicas[0].name);
    }
    assert!(to_slow < 15, "{to_slow} of 60 calls went to the slow replica");
}

#[tokio::test]
async fn a_replica_that_dies_takes_none_but_its_own_calls_with_it() {
    let (world, [first, second]) = two_replicas().await;
    let client = Connection::open(&world).await;
    let stays = second.name;
    first.kill();
    let mut failed = 0;
    for _ in 0..50 {
        match client.unary("Echo", ask("")).await {
            Ok(answer) => assert_eq!(served_by(&answer), stays),
            Err(_) => failed += 1,
        }
    }
    // Sent before the gateway could know; nothing that may have been seen is repeated by it.
    assert!(failed <= 2, "{failed}");
    world.wait_for("upstream svc-probe serving (1 of 2 replicas)").await;
}

#[tokio::test]
async fn a_rolling_restart_of_two_replicas_loses_no_call() {
    let (world, [first, second]) = two_replicas().await;
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU32::new(0));
    let load = tokio::spawn(keep_calling(world.clone(), stop.clone(), sent.clone()));
    let mut replicas = Vec::new();
    for replica in [first, second] {
        let address = replica.address;
        let begun = tokio::time::Instant::now();
        replica.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "the drain has a limit");
        tokio::time::sleep(Duration::from_millis(200)).await;
        replicas.push(Upstream::start_as("svc-probe", &world.trust, address).await);
        world.wait_for("upstream svc-probe serving (2 of 2 replicas)").await;
    }
    stop.store(true, Ordering::Relaxed);
    let failures = load.await.expect("no panic");
    assert!(failures.is_empty(), "{} of {}: {failures:?}", failures.len(), sent.load(Ordering::Relaxed));
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > 50, "{sent} calls are no load");
}

/// Eight callers at once, each call 20 ms of work, until told to stop. Gives what failed.
async fn keep_calling(world: Arc<World>, stop: Arc<AtomicBool>, sent: Arc<AtomicU32>) -> Vec<String> {
    let client = Connection::open(&world).await;
    let callers = (0..8).map(|_| {
        let (client, stop, sent) = (client.clone(), stop.clone(), sent.clone());
        async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                sent.fetch_add(1, Ordering::Relaxed);
                let asked = Ask { text: "x".into(), delay_ms: 20, count: 0 };
                if let Err(status) = client.unary("Echo", asked).await {
                    failures.push(format!("{status:?}"));
                }
            }
            failures
        }
    });
    futures::future::join_all(callers).await.concat()
}

#[tokio::test]
async fn a_gateway_that_drains_under_load_loses_no_call_that_it_took() {
    let (world, _probe) = World::with_probe_and(|config| {
        config.drain.notice_ms = 300;
        config.limits.principal_rate = fast();
        config.limits.address_rate = fast();
    })
    .await;
    let client = Connection::open(&world).await;
    let calls = (0..50).map(|nth| {
        let client = client.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10 * nth)).await;
            client.unary("Echo", Ask { delay_ms: 400, ..Ask::default() }).await
        }
    });
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        world.shutdown.cancel();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(calls), stopping);
    let lost: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(lost.is_empty(), "{lost:?}");
    world.ended().await;
}

#[tokio::test]
async fn one_caller_has_so_many_streams_and_gets_them_back() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.max_streams_per_caller = 2).await;
    let client = Connection::open(&world).await;
    let open = |token: &str| {
        let asked = with_token(Ask { count: 100, delay_ms: 50, ..Ask::default() }, &world.trust.token(token));
        client.stream("Count", asked)
    };
    let mut first = open("member-1").await.expect("begins");
    let second = open("member-1").await.expect("begins");
    let refused = open("member-1").await.map(drop).expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.get_details_retry_info().is_some(), "and is told when to come back");
    assert!(open("member-2").await.is_ok(), "another caller has streams of its own");
    assert_eq!(WebCall::new("Echo", &ask("")).send(&world).await.code(), Code::Ok, "a call is no stream");
    assert!(first.next().await.expect("goes on").is_ok());
    drop((first, second));
    let given_back = async {
        while open("member-1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), given_back).await.expect("given back");
}
