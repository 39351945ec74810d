//! Network weather by seed: which faults a link suffers, for how long, in which order. The same seed gives the same
//! weather, so that a run that failed can be looked at again. Must not know what is spoken over the link.

use std::ops::Range;
use std::time::Duration;

use crate::fault::{Fault, FaultProxy};

/// Seeds of one run, a tenth of [`SOAK_SEEDS`].
const SEEDS: u64 = 100;
/// Seeds of the long form, `make soak`.
const SOAK_SEEDS: u64 = 1_000;
/// The one seed to run, to look at a failure again.
const SEED_VARIABLE: &str = "CAREMESH_FAULT_SEED";

/// The faults of one seed. Also draws whatever else a test decides by its seed.
#[derive(Clone, Debug)]
pub struct Weather {
    state: u64,
}

impl Weather {
    /// The weather of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below `below`; 0 when that is 0 (splitmix64: every seed is a good one).
    pub fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    /// A span out of a range of milliseconds.
    pub fn span(&mut self, ms: Range<u64>) -> Duration {
        Duration::from_millis(ms.start + self.draw(ms.end.saturating_sub(ms.start)))
    }

    /// The next fault, and how long it lasts: every kind that the proxy has, calm included.
    pub fn turn(&mut self) -> (Fault, Duration) {
        let fault = match self.draw(6) {
            0 => Fault::None,
            1 => Fault::Delay(self.span(1..60)),
            2 => Fault::Cut,
            3 => Fault::Swallow,
            4 => Fault::HalfOpen,
            _ => Fault::SlowRead(64),
        };
        (fault, self.span(5..120))
    }

    /// Lets so many faults pass over a link, and leaves it calm.
    pub async fn passes_over(&mut self, link: &FaultProxy, turns: usize) {
        for _ in 0..turns {
            let (fault, span) = self.turn();
            link.set(fault);
            tokio::time::sleep(span).await;
        }
        link.set(Fault::None);
    }
}

/// The seeds of this run: a hundred; a thousand where CAREMESH_SOAK is set; the one that CAREMESH_FAULT_SEED names.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test's own switches; no component reads them")]
pub fn seeds() -> Range<u64> {
    let named = std::env::var(SEED_VARIABLE).ok().and_then(|value| value.parse::<u64>().ok());
    let many = if std::env::var_os("CAREMESH_SOAK").is_some() { SOAK_SEEDS } else { SEEDS };
    named.map_or(0..many, |seed| seed..seed.saturating_add(1))
}

/// How to see the weather of a seed again, for the message of a failure.
#[must_use]
pub fn again(seed: u64) -> String {
    format!("seed {seed}: run again with {SEED_VARIABLE}={seed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(seed: u64) -> Vec<(Fault, Duration)> {
        let mut weather = Weather::of(seed);
        (0..50).map(|_| weather.turn()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_weather_and_another_seed_another() {
        assert_eq!(turns(7), turns(7));
        assert_ne!(turns(7), turns(8));
    }

    #[test]
    fn every_kind_of_fault_comes_and_none_lasts() {
        let kinds: std::collections::HashSet<_> =
            turns(1).iter().map(|(fault, _)| std::mem::discriminant(fault)).collect();
        assert_eq!(kinds.len(), 6);
        assert!(turns(1).iter().all(|(_, span)| *span < Duration::from_millis(120)));
    }
}
