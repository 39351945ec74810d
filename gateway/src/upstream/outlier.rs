//! Which replica is left out for a while because its last answers say that it is not there.
//! Must not know how calls are sent; it is told how they ended and what time it is.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// So many failures in a row, and a replica is left out.
const FAILURES: u32 = 5;
/// How long the first time; doubled each time it happens again without a success in between.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: also the longest that a replica which is well again stays unused.
const LONGEST: Duration = Duration::from_secs(30);

/// The record of one replica. Times are microseconds of the gateway's own clock, from its start.
#[derive(Debug, Default)]
pub(crate) struct Outlier {
    failures: AtomicU32,
    times: AtomicU32,
    out_until: AtomicU64,
}

impl Outlier {
    /// A call ended in an answer of the service, whatever it was.
    pub(crate) fn answered(&self) {
        // Written only when it changes something: the usual case stays a read of a shared line.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.times.store(0, Ordering::Relaxed);
        }
    }

    /// A call found nobody, or broke off. True when the replica is left out from now on.
    pub(crate) fn failed(&self, now_us: u64) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        // On probation one failure is enough.
        let enough = failures >= FAILURES || self.times.load(Ordering::Relaxed) > 0;
        if !enough || self.is_out(now_us) {
            return false;
        }
        let times = self.times.fetch_add(1, Ordering::Relaxed).min(5);
        let pause = (FIRST * 2_u32.pow(times)).min(LONGEST);
        let until = now_us.saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        self.out_until.store(until, Ordering::Relaxed);
        true
    }

    /// Whether it is left out at this moment.
    pub(crate) fn is_out(&self, now_us: u64) -> bool {
        now_us < self.out_until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn five_failures_in_a_row_leave_a_replica_out_for_a_second() {
        let outlier = Outlier::default();
        for _ in 0..4 {
            assert!(!outlier.failed(0));
        }
        assert!(!outlier.is_out(0));
        assert!(outlier.failed(0));
        assert!(outlier.is_out(SECOND - 1) && !outlier.is_out(SECOND));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let outlier = Outlier::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert!(!outlier.failed(0));
            }
            outlier.answered();
        }
    }

    #[test]
    fn on_probation_one_failure_is_enough_and_the_pause_doubles_up_to_its_end() {
        let outlier = Outlier::default();
        for nth in 1..=5 {
            assert_eq!(outlier.failed(0), nth == 5);
        }
        let mut now = SECOND;
        for pause in [2, 4, 8, 16, 30, 30] {
            assert!(outlier.failed(now), "at {now}");
            assert!(outlier.is_out(now + pause * SECOND - 1));
            now += pause * SECOND;
            assert!(!outlier.is_out(now));
        }
        outlier.answered();
        assert!(!outlier.failed(now), "well again: five in a row are needed");
    }
}
