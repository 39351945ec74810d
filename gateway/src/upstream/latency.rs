//! How long a replica takes to answer, for the choice between replicas: a slow answer counts at once, a
//! quick one little by little, and all of it is forgotten with time. Told what time it is.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was measured counts less and less, and after this time not at all. Short, because of two replicas one
/// that was slow once gets nothing until then.
const MEMORY_US: u64 = 2_000_000;
/// What is quicker counts as equal: such differences are the machine's, not the replica's.
const LEAST_US: u64 = 1_000;
/// At least this share of an improvement is believed at once, or a busy replica would forget nothing.
const BELIEVED_SHARE: u64 = 10;

/// The record of one replica. Times are microseconds of the gateway's own clock, from its start.
///
/// Two calls that end at once may overwrite each other's measurement: a choice of replicas needs no more.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    time_us: AtomicU64,
    measured_at: AtomicU64,
}

impl Latency {
    /// A call was answered after `took_us`.
    pub(crate) fn measure(&self, now_us: u64, took_us: u64) {
        let (known, age) = (self.time_us.load(Ordering::Relaxed), self.age(now_us));
        let time = if took_us >= known {
            took_us
        } else {
            let left = (MEMORY_US - age).min(MEMORY_US - MEMORY_US / BELIEVED_SHARE);
            took_us + weighed(known - took_us, left)
        };
        self.time_us.store(time, Ordering::Relaxed);
        self.measured_at.store(now_us, Ordering::Relaxed);
    }

    /// What the next call would cost beside `busy` others. One that was slow is tried again once its time is
    /// forgotten, by one call: until that is answered, the old time counts.
    pub(crate) fn cost(&self, now_us: u64, busy: usize) -> u64 {
        let known = self.time_us.load(Ordering::Relaxed);
        let time = if busy == 0 { weighed(known, MEMORY_US - self.age(now_us)) } else { known };
        let calls = u64::try_from(busy).unwrap_or(u64::MAX).saturating_add(1);
        time.max(LEAST_US).saturating_mul(calls)
    }

    fn age(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.measured_at.load(Ordering::Relaxed)).min(MEMORY_US)
    }
}

/// `span_us` times what is left of the memory.
fn weighed(span_us: u64, left_us: u64) -> u64 {
    let weighed = u128::from(span_us) * u128::from(left_us) / u128::from(MEMORY_US);
    u64::try_from(weighed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_slow_answer_counts_at_once_and_a_quick_one_little_by_little() {
        let latency = Latency::default();
        latency.measure(0, 2_000);
        latency.measure(0, 100_000);
        assert_eq!(latency.cost(0, 0), 100_000);
        latency.measure(0, 10_000);
        assert_eq!(latency.cost(0, 0), 91_000, "a tenth of what it is better");
        for _ in 0..200 {
            latency.measure(0, 10_000);
        }
        assert!(latency.cost(0, 0) < 10_100, "{}", latency.cost(0, 0));
    }

    #[test]
    fn what_was_measured_is_forgotten_unless_a_call_is_finding_out() {
        let latency = Latency::default();
        latency.measure(0, 100_000);
        assert_eq!(latency.cost(SECOND, 0), 50_000);
        assert_eq!(latency.cost(SECOND, 1), 200_000, "the one that finds out is enough");
        assert_eq!(latency.cost(60 * SECOND, 0), 1_000);
        latency.measure(60 * SECOND, 4_000);
        assert_eq!(latency.cost(60 * SECOND, 0), 4_000, "nothing of the old time is left");
    }

    #[test]
    fn calls_under_way_weigh_as_much_as_time_does() {
        let latency = Latency::default();
        assert_eq!(latency.cost(0, 3), 4_000);
        latency.measure(0, 100);
        assert_eq!(latency.cost(0, 3), 4_000, "quick is quick");
    }
}
