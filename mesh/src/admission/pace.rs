//! How many calls at a time are good for a server: found by watching how much longer calls take than they would
//! alone. More in flight than that makes every call slower and none sooner. Pure: it is told times. Must not know
//! who calls.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// A judgement rests on so many calls, and so much time, at least.
const CALLS: u32 = 32;
const WINDOW: Duration = Duration::from_millis(100);
/// Calls that take more than twice as long as at their best, on average, wait for each other. In percent.
const CROWDED: u64 = 200;
/// The best time of a method drifts up by such a part of the difference in each window without a crowd, about half a
/// minute in all: data grows, and a best from another day is no measure.
const DRIFT: u32 = 256;

/// The limit, and what it was found from.
#[derive(Debug)]
pub(super) struct Pace {
    least: usize,
    most: usize,
    limit: usize,
    window: Window,
    /// Best time of each method, by the address of its policy.
    best: HashMap<usize, Duration>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    calls: u32,
    /// Sum of what the calls took, in percent of their method's best.
    percent: u64,
    /// Shortest time of each method.
    shortest: HashMap<usize, Duration>,
    /// Whether anybody was kept waiting by the limit.
    was_short: bool,
}

impl Pace {
    pub(super) fn new(least: usize, most: usize) -> Self {
        let least = least.clamp(1, most.max(1));
        Self { least, most, limit: most, window: Window::default(), best: HashMap::new() }
    }

    /// Calls that may be worked on at a time.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Somebody had to wait for a place.
    pub(super) fn was_short(&mut self) {
        self.window.was_short = true;
    }

    /// A call of this method was worked on for so long, beside `others`.
    pub(super) fn worked(&mut self, now: Instant, method: usize, took: Duration, others: usize) {
        let best = *self.best.entry(method).or_insert(took);
        let best = best.min(took).max(Duration::from_micros(1));
        self.best.insert(method, best);
        let window = &mut self.window;
        window.calls += 1;
        let percent = took.as_micros() * 100 / best.as_micros();
        window.percent = window.percent.saturating_add(u64::try_from(percent).unwrap_or(u64::MAX));
        let shortest = window.shortest.entry(method).or_insert(took);
        *shortest = took.min(*shortest);
        let began = *window.began.get_or_insert(now);
        if window.calls >= CALLS && now - began >= WINDOW {
            self.judge(others);
        }
    }

    fn judge(&mut self, others: usize) {
        let window = std::mem::take(&mut self.window);
        let mean = window.percent / u64::from(window.calls.max(1));
        if mean > CROWDED {
            // From what is inside, not from a limit that nobody has reached.
            let inside = self.limit.min(others + 1);
            self.limit = (inside - inside.div_ceil(8)).max(self.least);
        } else if window.was_short {
            self.limit = (self.limit + 1 + self.limit / 16).min(self.most);
        }
        if window.was_short && self.limit > self.least {
            // In a crowd even the shortest time is too long to learn from.
            return;
        }
        for (method, shortest) in window.shortest {
            if let Some(best) = self.best.get_mut(&method) {
                *best += shortest.saturating_sub(*best) / DRIFT;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that works on `at_once` calls at a time, 10 ms each: the others wait inside.
    fn run(pace: &mut Pace, at_once: usize, windows: u32) {
        let mut now = Instant::now();
        for _ in 0..windows {
            now += WINDOW;
            let crowd = u32::try_from(pace.limit().div_ceil(at_once)).expect("small");
            pace.was_short();
            for _ in 0..CALLS {
                pace.worked(now, 1, Duration::from_millis(10) * crowd, pace.limit());
                now += Duration::from_millis(4);
            }
        }
    }

    #[test]
    fn the_limit_settles_near_what_is_worked_on_at_once() {
        let mut pace = Pace::new(2, 128);
        pace.worked(Instant::now(), 1, Duration::from_millis(10), 0);
        run(&mut pace, 8, 100);
        assert!((8..=24).contains(&pace.limit()), "{}", pace.limit());
    }

    #[test]
    fn a_limit_that_holds_up_quick_calls_rises_again() {
        let mut pace = Pace::new(2, 128);
        pace.limit = 4;
        run(&mut pace, 64, 60);
        assert!(pace.limit() > 60, "{}", pace.limit());
    }

    #[test]
    fn slow_methods_are_not_taken_for_a_crowd() {
        let (mut pace, mut now) = (Pace::new(2, 64), Instant::now());
        for call in 0..2_000_usize {
            now += Duration::from_millis(5);
            let took = if call.is_multiple_of(2) { 1 } else { 500 };
            pace.worked(now, call % 2, Duration::from_millis(took), 8);
        }
        assert_eq!(pace.limit(), 64);
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let mut pace = Pace::new(4, 16);
        pace.worked(Instant::now(), 1, Duration::from_millis(10), 0);
        run(&mut pace, 1, 100);
        assert_eq!(pace.limit(), 4);
        assert_eq!(Pace::new(8, 1).limit(), 1);
    }
}
