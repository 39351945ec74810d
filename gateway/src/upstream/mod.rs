//! One upstream: its held HTTP/2 connections and whether it can be reached now.
//! Must not know what is called over them, nor who calls.

pub(crate) mod connect;
pub(crate) mod health;
pub(crate) mod keep;
pub(crate) mod learn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
pub(crate) use connect::{Connector, Held};

/// A service of the mesh behind the gateway, by its configured name (`svc-policy`).
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    slots: Vec<ArcSwapOption<Held>>,
    next: AtomicUsize,
    healthy: AtomicBool,
}

impl Upstream {
    /// An upstream without a connection yet; [`keep::keep`] fills its slots.
    pub(crate) fn new(name: impl Into<String>, connections: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            slots: (0..connections.max(1)).map(|_| ArcSwapOption::empty()).collect(),
            next: AtomicUsize::new(0),
            healthy: AtomicBool::new(false),
        })
    }

    /// The configured name, which is also the workload's name in its certificate.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A live connection, the slots taking turns; `None` when there is none now.
    ///
    /// Taking turns spreads calls over connections, because one HTTP/2 connection is one lock.
    pub(crate) fn pick(&self) -> Option<Held> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.slots.len())
            .filter_map(|step| self.slots[(start + step) % self.slots.len()].load_full())
            .find(|held| held.is_open())
            .map(|held| Held::clone(&held))
    }

    /// Whether a connection is open now.
    pub(crate) fn is_connected(&self) -> bool {
        self.slots.iter().any(|slot| slot.load().as_ref().is_some_and(|held| held.is_open()))
    }

    /// Whether it is connected and answered its last health check with SERVING.
    pub(crate) fn is_serving(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && self.is_connected()
    }
}
