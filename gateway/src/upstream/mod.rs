//! One upstream: its replicas, and which of them takes the next call.
//! Must not know what is called, nor who calls.

pub(crate) mod connect;
pub(crate) mod discover;
pub(crate) mod health;
pub(crate) mod held;
pub(crate) mod keep;
mod latency;
pub(crate) mod learn;
mod outlier;
pub(crate) mod replica;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
pub(crate) use connect::Connector;
pub(crate) use held::Held;
use tokio::time::Instant;

use replica::{Picked, Replica};

/// A service of the mesh behind the gateway, by its configured name (`svc-policy`).
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    replicas: ArcSwap<Vec<Arc<Replica>>>,
}

impl Upstream {
    /// An upstream without a replica yet; [`discover::discover`] finds them.
    pub(crate) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), replicas: ArcSwap::default() })
    }

    /// The configured name, which is also the workload's name in its certificate.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A live connection to the cheaper of two replicas; `None` when there is no connection at all.
    ///
    /// A replica that is left out, or says that it is not serving, is taken only when no other is left:
    /// a wrong guess about health must not turn a slow upstream into a dead one.
    pub(crate) fn pick(&self) -> Option<Picked> {
        let replicas = self.replicas.load();
        if let [only] = replicas.as_slice() {
            return only.take();
        }
        let now = now_us();
        let fit = replicas.iter().filter(|it| it.is_fit(now));
        let there = || replicas.iter().filter(|it| it.is_connected());
        cheaper(fit, now).or_else(|| cheaper(there(), now))?.take()
    }

    /// Whether a replica is connected and answered its last health check with SERVING.
    pub(crate) fn is_serving(&self) -> bool {
        self.replicas.load().iter().any(|it| it.is_serving())
    }

    /// Replicas that serve, and replicas in all.
    pub(crate) fn count(&self) -> (usize, usize) {
        let replicas = self.replicas.load();
        (replicas.iter().filter(|it| it.is_serving()).count(), replicas.len())
    }

    /// Whether a connection to any replica is open now.
    pub(crate) fn is_connected(&self) -> bool {
        self.replicas.load().iter().any(|it| it.is_connected())
    }

    pub(crate) fn set_replicas(&self, replicas: Vec<Arc<Replica>>) {
        self.replicas.store(Arc::new(replicas));
    }
}

/// Power of two choices: the cheaper of two at random, by time and by calls under way. The cheapest of all
/// would get every new call of every gateway.
fn cheaper<'a>(
    candidates: impl Iterator<Item = &'a Arc<Replica>> + Clone,
    now: u64,
) -> Option<&'a Arc<Replica>> {
    let count = candidates.clone().count();
    if count < 2 {
        return candidates.clone().next();
    }
    let (one, other) = two_of(count, random());
    let (one, other) = (candidates.clone().nth(one)?, candidates.clone().nth(other)?);
    Some(if other.cost(now) < one.cost(now) { other } else { one })
}

/// Two different numbers below `count`, which is 2 or more.
fn two_of(count: usize, random: u64) -> (usize, usize) {
    let low = usize::try_from(random & 0xFFFF_FFFF).unwrap_or(0);
    let high = usize::try_from(random >> 32).unwrap_or(0);
    let one = low % count;
    (one, (one + 1 + high % (count - 1)) % count)
}

/// Splitmix64: balance needs numbers that fall evenly, not numbers that cannot be foretold.
fn random() -> u64 {
    thread_local! { static STATE: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) }; }
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Microseconds since the first call of this function.
pub(crate) fn now_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_choices_are_always_two_and_fall_evenly() {
        let mut chosen = [0_u32; 3];
        for _ in 0..3_000 {
            let (one, other) = two_of(3, random());
            assert_ne!(one, other);
            chosen[one] += 1;
            chosen[other] += 1;
        }
        assert!(chosen.iter().all(|it| (1_700..2_300).contains(it)), "{chosen:?}");
    }
}
