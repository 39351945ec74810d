//! One replica of an upstream: the connections that each core holds to it, how busy it is, whether it is
//! well. Must not know how replicas are found.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use super::latency::Latency;
use super::outlier::Outlier;
use super::{Held, now_us};
use crate::crew;

/// A process that serves an upstream, at one address.
#[derive(Debug)]
pub(crate) struct Replica {
    address: SocketAddr,
    /// By core, so that a call stays on its thread; several each, because one connection is one lock.
    lanes: Vec<Vec<ArcSwapOption<Held>>>,
    next: AtomicUsize,
    calls: AtomicUsize,
    serving: AtomicBool,
    outlier: Outlier,
    latency: Latency,
    /// Cancelled when the address is no longer one of the upstream's.
    pub(super) gone: CancellationToken,
}

impl Replica {
    /// A replica that is not connected yet.
    pub(crate) fn new(address: SocketAddr, lanes: usize, connections: usize) -> Arc<Self> {
        let lane = || (0..connections.max(1)).map(|_| ArcSwapOption::empty()).collect();
        Arc::new(Self {
            address,
            lanes: (0..lanes.max(1)).map(|_| lane()).collect(),
            next: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            serving: AtomicBool::new(false),
            outlier: Outlier::default(),
            latency: Latency::default(),
            gone: CancellationToken::new(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a connection is kept: by lane, then the connections of one lane.
    pub(super) fn slot(&self, lane: usize, nth: usize) -> &ArcSwapOption<Held> {
        &self.lanes[lane][nth]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (lanes, connections) = (self.lanes.len(), self.lanes[0].len());
        (0..lanes).flat_map(move |lane| (0..connections).map(move |nth| (lane, nth)))
    }

    /// What the next call would cost at `now`: how long it takes to answer, times the calls that it has not
    /// answered to the end.
    pub(crate) fn cost(&self, now: u64) -> u64 {
        self.latency.cost(now, self.calls.load(Ordering::Relaxed))
    }

    pub(crate) fn is_connected(&self) -> bool {
        let open = |slot: &ArcSwapOption<Held>| slot.load().as_ref().is_some_and(|held| held.is_open());
        self.lanes.iter().flatten().any(open)
    }

    /// Connected, and its last health check said so.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) && self.is_connected()
    }

    /// Serving and not left out at `now`.
    pub(crate) fn is_fit(&self, now: u64) -> bool {
        self.is_serving() && !self.outlier.is_out(now)
    }

    /// What the health check says. True when it said otherwise before.
    pub(super) fn set_serving(&self, serving: bool) -> bool {
        self.serving.swap(serving, Ordering::Relaxed) != serving
    }

    /// A connection of the calling thread's own core, or of another while that one is away.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Picked> {
        let own = crew::lane() % self.lanes.len();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let lanes = (0..self.lanes.len()).map(|step| &self.lanes[(own + step) % self.lanes.len()]);
        let slots = lanes.flat_map(|lane| (0..lane.len()).map(move |step| &lane[(turn + step) % lane.len()]));
        let held = slots.filter_map(|slot| slot.load().as_ref()?.ready()).next()?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        Some(Picked { held, call: Call { replica: self.clone(), began: now_us() } })
    }
}

/// A connection, and the replica's count of the call that goes over it.
pub(crate) struct Picked {
    pub(crate) held: Held,
    pub(crate) call: Call,
}

/// One call on its way; until it is dropped the replica counts as that much busier.
#[derive(Debug)]
pub(crate) struct Call {
    replica: Arc<Replica>,
    began: u64,
}

impl Call {
    /// The service answered, whatever it was.
    pub(crate) fn answered(&self) {
        let now = now_us();
        self.replica.latency.measure(now, now.saturating_sub(self.began));
        self.replica.outlier.answered();
    }

    /// Nobody answered, or somebody who says that nobody is there.
    pub(crate) fn failed(&self) {
        if self.replica.outlier.failed(now_us()) {
            tracing::warn!(
                server.address = %self.replica.address,
                "A replica is left out for a while: calls to it fail one after the other."
            );
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.replica.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
