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
    // Long enough for the crowd to be forgotten, in which fewer may wait.
    sleep(Duration::from_millis(900)).await;
    let calls = (0..7).map(|_| world.ask_open("crowd:20"));
    for answer in futures::future::join_all(calls).await {
        answer.expect("three places and four turns in the queue are there again");
    }
}

#[tokio::test]
async fn one_who_asks_for_much_delays_himself_and_not_the_others() {
    let world = World::with(|config| {
        config.admission.max_calls = 1;
        config.admission.max_waiting = 40;
        config.admission.max_wait_ms = 4_000;
    })
    .await;
    let greedy: Vec<_> = (0..40)
        .map(|_| {
            let client = world.client.clone();
            tokio::spawn(async move {
                client.ask("AskOpen", "sleep:50", &[("authorization", "Bearer greedy")]).await
            })
        })
        .collect();
    sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    let modest = world.client.ask("AskOpen", "ok", &[("authorization", "Bearer modest")]).await;
    modest.expect("the full queue gives way");
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}, where 40 calls were before",
        start.elapsed()
    );
    greedy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Open-loop load: so many calls a second for a while, whatever becomes of them. Gives the times of those that
/// were served, how many were shed and told when to come back, and how many were refused in another way.
async fn load(world: &World, a_second: u32, seconds: u32) -> (Vec<Duration>, usize, usize) {
    let mut calls = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / a_second);
    for turn in 0..a_second * seconds {
        ticks.tick().await;
        let client = world.client.clone();
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            // Many people, so that turns are not what keeps one of them out.
            let who = format!("Bearer {}", turn % 50);
            let answer = client.ask("AskOpen", "desk:40", &[("authorization", &who)]).await;
            (began.elapsed(), answer)
        }));
    }
    let (mut served, mut shed, mut lost) = (Vec::new(), 0, 0);
    for call in calls {
        match call.await.expect("no panic") {
            (took, Ok(_)) => served.push(took),
            (_, Err(refused)) if refused.is(CommonReason::Overloaded) && refused.retry_after.is_some() => {
                shed += 1
            }
            _ => lost += 1,
        }
    }
    served.sort_unstable();
    (served, shed, lost)
}

fn p99(times: &[Duration]) -> Duration {
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// Memory is told per process, and other tests run in this one: runs a test again in a process of its own, and says so to
/// the caller, who is done then. In that process it answers no.
#[expect(clippy::disallowed_methods, reason = "the process is told so by its environment")]
async fn ran_in_a_process_of_its_own(test: &str) -> bool {
    const ALONE: &str = "CAREMESH_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let this = std::env::current_exe().expect("the path of this test");
    let mut again = tokio::process::Command::new(this);
    let ran = again.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().await.expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    true
}

/// Memory of this process in RAM, kilobytes.
pub(crate) fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

/// Calls a second that the four desks can do on this machine as it is now: about 100 when it has nothing else to do.
async fn capacity(world: &World) -> u32 {
    let until = Instant::now() + Duration::from_secs(2);
    let workers = (0..8).map(|_| async {
        let mut done = 0;
        while Instant::now() < until {
            world.client.ask("AskOpen", "desk:40", &[]).await.expect("served");
            done += 1;
        }
        done
    });
    futures::future::join_all(workers).await.into_iter().sum::<u32>() / 2
}

/// Four desks, 40 ms each: that is what this server can do, whatever its settings say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_twice_the_capacity_those_who_are_let_in_are_served_in_time_and_the_rest_are_told_to_come_back() {
    let name =
        "at_twice_the_capacity_those_who_are_let_in_are_served_in_time_and_the_rest_are_told_to_come_back";
    if ran_in_a_process_of_its_own(&format!("admission::{name}")).await {
        return;
    }
    let world = World::new().await;
    let capacity = capacity(&world).await;
    let offered = capacity * 8 / 10;
    let (calm, shed, lost) = load(&world, offered, 4).await;
    // A machine that stalls for a moment makes a crowd of what came meanwhile.
    let few = usize::try_from(offered * 4 / 20).expect("few");
    assert!(
        shed <= few && lost == 0,
        "0.8 of the capacity fits: {shed} shed, {lost} lost of {offered} a second"
    );
    // Finds its pace first: a crowd is not known before it has been seen.
    load(&world, capacity * 2, 3).await;
    let before = resident_kb();
    let (crowded, shed, lost) = load(&world, capacity * 2, 5).await;
    let grown = resident_kb().saturating_sub(before);
    println!(
        "capacity {capacity} a second; 0.8 of it: p99 {:?}; 2.0: p99 {:?}, {} served, {shed} shed, {grown} kB more memory",
        p99(&calm),
        p99(&crowded),
        crowded.len()
    );
    assert_eq!(lost, 0, "the rest is told to come back, and nothing else");
    assert!(p99(&crowded) <= p99(&calm) * 3, "p99 {:?} against {:?}", p99(&crowded), p99(&calm));
    let could = usize::try_from(capacity * 5).expect("some");
    assert!(
        crowded.len() >= could * 2 / 3,
        "{} of the {could} that can be served in that time",
        crowded.len()
    );
    assert!(grown < 16 * 1024, "{grown} kB");
}
