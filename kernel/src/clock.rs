//! Instants in whole microseconds, and the two arguments that make a program repeatable: clock and id source.
//!
//! Knows nothing of days: which day an instant falls on is decided by a [`crate::Zone`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An instant: whole microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The instant `ms` milliseconds later (earlier if negative); stops at the ends of the range.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// Microseconds from `earlier` to here; negative if `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the time comes from. Always an argument, so that a test can move it by hand.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// Where fresh ids come from. Always an argument, so that a test can repeat them.
pub trait IdSource: Send + Sync + 'static {
    /// A UUID that was never given before.
    fn uuid(&self) -> Uuid;
}

/// Time-ordered random ids (UUIDv7).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that draws fresh ids")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_ids_differ_and_rise() {
        let (first, second) = (SystemIds.uuid(), SystemIds.uuid());
        assert!(first < second);
    }

    #[test]
    fn the_system_clock_does_not_run_back() {
        let first = SystemClock.now();
        assert!(SystemClock.now().micros_since(first) >= 0);
        assert_eq!(first.plus_ms(2).micros_since(first), 2_000);
    }
}
