//! Three replicas behind a network that fails: one is slowed, one is killed, one is cut off. What the callers of the
//! service see of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use caremesh_mesh::client::{Channel, ChannelBuilder};
use caremesh_testkit::{
    fault::{Fault, FaultProxy},
    identity::TestAuthority,
};
use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, sleep};

use crate::probe::{NEVER, Probe, SAFE, contract, ok, send};

const ID: &str = "test-id";
/// From the fault on, failures are forgiven for so long, and slow answers too.
const WINDOW: Duration = Duration::from_secs(2);
const PHASE: Duration = Duration::from_secs(5);

/// How often each call that must not be sent twice has arrived anywhere.
type Arrived = Arc<Mutex<HashMap<String, usize>>>;

struct World {
    proxies: Vec<FaultProxy>,
    probes: Vec<Probe>,
    channel: Channel,
    arrived: Arrived,
}

impl World {
    async fn start() -> Self {
        let authority = TestAuthority::new().expect("an authority");
        let identity = authority.workload("svc-probe").expect("an identity");
        let arrived = Arrived::default();
        let (mut probes, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let arrived = arrived.clone();
            let probe = Probe::start(&identity, move |request, _| {
                if let Some(id) = request.headers().get(ID).and_then(|id| id.to_str().ok()) {
                    *arrived.lock().expect("a lock").entry(id.to_owned()).or_default() += 1;
                }
                async { ok() }.boxed()
            })
            .await;
            proxies.push(FaultProxy::before(probe.address).await.expect("a proxy"));
            probes.push(probe);
        }
        let addresses: Vec<_> = proxies.iter().map(|proxy| format!("https://{}", proxy.address())).collect();
        let caller = authority.workload("svc-caller").expect("an identity");
        let channel = ChannelBuilder::new(caller, contract()).build("svc-probe", &addresses.join(","));
        Self { proxies, probes, channel: channel.expect("addresses"), arrived }
    }
}

/// What a call did: when it began, how long it took, whether it was answered.
struct Done {
    began: Instant,
    took: Duration,
    answered: bool,
}

/// Calls `path` again and again until told to stop.
async fn callers(
    world: &World,
    path: &'static str,
    count: usize,
    stop: &AtomicBool,
    next_id: &AtomicUsize,
) -> Vec<Done> {
    let workers = (0..count).map(|_| async {
        let mut done = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let mut request = tonic::Request::new(());
            request.set_timeout(Duration::from_secs(5));
            if path == NEVER {
                let id = next_id.fetch_add(1, Ordering::SeqCst).to_string();
                request.metadata_mut().insert(ID, id.parse().expect("a header"));
            }
            let began = Instant::now();
            let answered = send(&world.channel, path, request).await.is_ok();
            done.push(Done { began, took: began.elapsed(), answered });
            sleep(Duration::from_millis(10)).await;
        }
        done
    });
    join_all(workers).await.into_iter().flatten().collect()
}

/// The failures among, and the 99th percentile of, the calls that began at `from` or later.
fn seen(done: &[Done], from: Instant) -> (usize, Duration) {
    let late: Vec<&Done> = done.iter().filter(|done| done.began >= from).collect();
    let mut times: Vec<Duration> = late.iter().map(|done| done.took).collect();
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    (late.iter().filter(|done| !done.answered).count(), p99)
}

/// Calls for a while with these faults on the replicas; gives failures and p99 after the window.
#[expect(clippy::print_stdout, reason = "the figures of a proof are for whoever runs it")]
async fn phase(world: &World, faults: &[(usize, Fault)], ids: &AtomicUsize) -> (usize, Duration) {
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    faults.iter().for_each(|(which, fault)| world.proxies[*which].set(*fault));
    let time = async {
        sleep(PHASE).await;
        stop.store(true, Ordering::SeqCst);
    };
    let (safe, _never, ()) =
        tokio::join!(callers(world, SAFE, 16, &stop, ids), callers(world, NEVER, 4, &stop, ids), time);
    let whole = seen(&safe, began);
    let after = seen(&safe, began + WINDOW);
    println!(
        "{faults:?}: {} calls, {} failed, p99 {:?}; after {WINDOW:?}: {} failed, p99 {:?}",
        safe.len(),
        whole.0,
        whole.1,
        after.0,
        after.1
    );
    faults.iter().for_each(|(which, _)| world.proxies[*which].set(Fault::None));
    after
}

/// This machine may be busy with other things; what counts is the distance from its own calm.
async fn calm_bound(world: &World, ids: &AtomicUsize) -> Duration {
    let (failed, calm) = phase(world, &[], ids).await;
    assert_eq!(failed, 0, "without a fault");
    (calm * 3).max(Duration::from_millis(150))
}

fn nothing_was_sent_twice(world: &World) {
    let arrived = world.arrived.lock().expect("a lock");
    assert!(!arrived.is_empty(), "calls that must not be sent twice were made");
    let twice = arrived.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "what must not be sent twice was not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowed_killed_and_cut_off_replicas_cost_idempotent_calls_nothing_after_the_first_window() {
    let world = World::start().await;
    let ids = AtomicUsize::new(0);
    let bound = calm_bound(&world, &ids).await;
    let slowed = Fault::Delay(Duration::from_millis(400));
    for (which, fault) in [(0, slowed), (1, Fault::Cut), (2, Fault::Swallow)] {
        let (failed, p99) = phase(&world, &[(which, fault)], &ids).await;
        assert_eq!(failed, 0, "{fault:?}");
        assert!(p99 <= bound, "{fault:?}: p99 {p99:?}, bound {bound:?}");
    }
    nothing_was_sent_twice(&world);
    assert!(world.probes.iter().all(|probe| probe.calls() > 100), "every replica was used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slowed_one_killed_and_one_cut_off_at_once_leave_the_slow_one_to_answer_every_idempotent_call() {
    let world = World::start().await;
    let ids = AtomicUsize::new(0);
    let bound = calm_bound(&world, &ids).await;
    let delay = Duration::from_millis(50);
    let all = [(0, Fault::Delay(delay)), (1, Fault::Cut), (2, Fault::Swallow)];
    let (failed, p99) = phase(&world, &all, &ids).await;
    assert_eq!(failed, 0, "somebody is there, if slowly");
    // Each way a piece waits for the one before it and for itself.
    let slow = bound + delay * 4;
    assert!(p99 <= slow, "all at once: p99 {p99:?}, bound {slow:?}");
    let (failed, p99) = phase(&world, &[], &ids).await;
    assert_eq!(failed, 0, "healed");
    assert!(p99 <= bound, "healed: p99 {p99:?}, bound {bound:?}");
    nothing_was_sent_twice(&world);
}
