//! Refuses calls to a service that does not work, instead of sending them to wait: its own threads and its
//! callers' are spared, and it comes back to a few calls and not to all at once. Also bounds the calls that are
//! under way. Must not know replicas: of those the balancer knows.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{ClientConfig, outcome::is_failure};
use crate::{
    deadline::Deadline,
    layer::{Around, Next, Request, Response, refuse},
    reason::CommonReason,
    refusal::Refusal,
};

/// Outcomes are counted over the last so many of these.
const WINDOWS: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);
/// Fewer failures are chance.
const LEAST_FAILURES: u32 = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What a caller is told who finds all places taken.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// The layer.
#[derive(Debug)]
pub(super) struct Breaker {
    places: Semaphore,
    percent: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls and failures of the last windows, the present one at `present`.
    windows: [(u32, u32); WINDOWS],
    present: usize,
    present_until: Option<Instant>,
    open: Option<Open>,
    /// How often in a row it opened again after a probe.
    again: u32,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    probing: bool,
}

impl Breaker {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            places: Semaphore::new(config.max_calls),
            percent: config.breaker_percent,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Around for Breaker {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let Ok(_place) = self.places.try_acquire() else {
            return refuse(Refusal::new(CommonReason::Overloaded).retry_after(FULL_PAUSE));
        };
        let permit = match self.lock().admit(Instant::now()) {
            Ok(probe) => {
                Permit { breaker: self, due: request.extensions().get().copied(), probe, told: false }
            }
            Err(pause) => return refuse(Refusal::new(CommonReason::DependencyDown).retry_after(pause)),
        };
        let response = next.run(request).await;
        permit.tell(!is_failure(&response));
        response
    }
}

/// A call that was let through. One that is dropped because its time is over has failed; one that its caller gave
/// up says nothing, and if it was a probe, another may be made.
struct Permit<'a> {
    breaker: &'a Breaker,
    due: Option<Deadline>,
    probe: bool,
    told: bool,
}

impl Permit<'_> {
    fn tell(mut self, worked: bool) {
        self.outcome(worked);
    }

    fn outcome(&mut self, worked: bool) {
        self.told = true;
        let percent = self.breaker.percent;
        self.breaker.lock().outcome(Instant::now(), self.probe, worked, percent);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told && self.due.is_some_and(Deadline::is_past) {
            self.outcome(false);
        } else if self.probe && !self.told {
            self.breaker.lock().forget_probe();
        }
    }
}

impl State {
    /// Whether a call may go, and whether it is the probe of an open breaker; else how long to wait.
    fn admit(&mut self, now: Instant) -> Result<bool, Duration> {
        let Some(open) = &mut self.open else { return Ok(false) };
        if now < open.until {
            return Err(open.until - now);
        }
        if open.probing {
            return Err(FULL_PAUSE);
        }
        open.probing = true;
        Ok(true)
    }

    fn forget_probe(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    fn outcome(&mut self, now: Instant, probe: bool, worked: bool, percent: u32) {
        match (probe, worked) {
            (true, true) => *self = Self::default(),
            (true, false) => {
                self.again = self.again.saturating_add(1);
                self.break_open(now);
            }
            (false, worked) => {
                self.count(now, worked);
                if self.open.is_none() && self.fails(percent) {
                    self.break_open(now);
                }
            }
        }
    }

    fn break_open(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.again.min(8)).min(LONGEST_PAUSE);
        self.windows = Default::default();
        self.open = Some(Open { until: now + pause, probing: false });
        metrics::counter!("caremesh_client_breaker_opened_total").increment(1);
        tracing::warn!(pause_ms = pause.as_millis(), "calls to a service that does not work are held back");
    }

    fn count(&mut self, now: Instant, worked: bool) {
        let mut until = *self.present_until.get_or_insert(now + WINDOW);
        for _ in 0..WINDOWS {
            if now < until {
                break;
            }
            until += WINDOW;
            self.present = (self.present + 1) % WINDOWS;
            self.windows[self.present] = (0, 0);
        }
        self.present_until = Some(until.max(now));
        let (calls, failures) = &mut self.windows[self.present];
        *calls += 1;
        *failures += u32::from(!worked);
    }

    /// More than so many of a hundred calls failed, and not only a few.
    fn fails(&self, percent: u32) -> bool {
        let (calls, failures) =
            self.windows.iter().fold((0, 0), |sum, window| (sum.0 + window.0, sum.1 + window.1));
        failures >= LEAST_FAILURES && u64::from(failures) * 100 > u64::from(calls) * u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_when_most_calls_fail_and_closes_after_a_probe_that_worked() {
        let (mut state, now) = (State::default(), Instant::now());
        for _ in 0..LEAST_FAILURES {
            assert_eq!(state.admit(now), Ok(false));
            state.outcome(now, false, false, 50);
        }
        assert_eq!(state.admit(now), Err(FIRST_PAUSE));
        let later = now + FIRST_PAUSE;
        assert_eq!(state.admit(later), Ok(true), "one call probes");
        assert_eq!(state.admit(later), Err(FULL_PAUSE), "and only one");
        state.outcome(later, true, false, 50);
        assert_eq!(state.admit(later), Err(FIRST_PAUSE * 2), "a failed probe doubles the pause");
        let later = later + FIRST_PAUSE * 2;
        assert_eq!(state.admit(later), Ok(true));
        state.outcome(later, true, true, 50);
        assert_eq!(state.admit(later), Ok(false), "closed");
    }

    #[test]
    fn a_probe_that_was_given_up_leaves_its_place_to_another() {
        let (mut state, now) = (State::default(), Instant::now());
        state.break_open(now);
        let later = now + FIRST_PAUSE;
        assert_eq!(state.admit(later), Ok(true));
        state.forget_probe();
        assert_eq!(state.admit(later), Ok(true));
    }

    #[test]
    fn failures_among_many_good_answers_or_long_ago_do_not_open_it() {
        let (mut state, now) = (State::default(), Instant::now());
        for call in 0..10 * LEAST_FAILURES {
            state.outcome(now, false, call % 5 != 0, 50);
        }
        assert_eq!(state.admit(now), Ok(false));
        let mut state = State::default();
        for second in 0..5 * LEAST_FAILURES {
            state.outcome(now + WINDOW * second * 2, false, false, 50);
        }
        assert_eq!(state.admit(now), Ok(false));
    }
}
