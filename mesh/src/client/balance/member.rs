//! One replica: its connection, what a call to it costs, and whether it can be trusted with one. Judged by its
//! own answers only. Must not know the others.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::super::{
    ClientConfig,
    connection::{Connection, Unsent},
    outcome::is_failure,
};
use crate::layer::{Request, Response};

/// How fast a measured time is forgotten: after so long it counts no more.
const MEMORY: Duration = Duration::from_secs(10);
/// What a replica is taken to cost that nobody has measured lately.
const LEAST_COST: Duration = Duration::from_micros(100);
/// Failures in a row, after which a replica is ejected.
const FAILURES: u32 = 5;
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// How a replica stands, best first; of those that stand best one is picked by cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its time of ejection is over, and this call is the one that finds out.
    Probe,
    Good,
    /// Works, but a try of this call was there already.
    Tried,
    /// Not connected; a call would have to wait for that.
    Unconnected,
    /// Has not answered anything for a while although it was asked.
    Silent,
    Ejected,
    /// Could not be reached a moment ago.
    Resting,
}

/// A replica.
pub(super) struct Member {
    pub(super) address: SocketAddr,
    connection: Connection,
    silent_after: Duration,
    ejection: Duration,
    state: Mutex<State>,
    connecting: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    in_flight: u64,
    /// Since when it owes an answer and has given none.
    owing_since: Option<Instant>,
    /// Peak-sensitive mean time to an answer, as it was when it was last measured.
    time: Duration,
    measured: Option<Instant>,
    failures: u32,
    ejected: Option<Ejected>,
}

#[derive(Clone, Copy, Debug)]
struct Ejected {
    until: Instant,
    /// How often in a row.
    times: u32,
    probing: bool,
}

impl Ejected {
    /// Best by a call that can go elsewhere when it fails; by any, when none such has come for long.
    fn may_be_probed(&self, now: Instant, may_be_sent_again: bool) -> bool {
        let from = if may_be_sent_again { self.until } else { self.until + LONGEST_EJECTION };
        !self.probing && now >= from
    }
}

impl Member {
    pub(super) fn new(address: SocketAddr, connection: Connection, config: &ClientConfig) -> Self {
        Self {
            address,
            connection,
            silent_after: Duration::from_millis(config.silent_after_ms),
            ejection: Duration::from_millis(config.ejection_ms),
            state: Mutex::default(),
            connecting: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cost(&self, now: Instant) -> u128 {
        self.lock().cost(now)
    }

    /// How it stands for a call that may be sent again, or not. Also sees that an unconnected one is connected,
    /// so that calls need not wait for it.
    pub(super) fn rank(self: &Arc<Self>, now: Instant, may_be_sent_again: bool, tried: bool) -> Rank {
        if !self.connection.is_live() {
            if self.connection.is_resting() {
                return Rank::Resting;
            }
            self.connect();
            return Rank::Unconnected;
        }
        let rank = self.lock().rank(now, self.silent_after, may_be_sent_again);
        if rank == Rank::Good && tried { Rank::Tried } else { rank }
    }

    fn connect(self: &Arc<Self>) {
        if self.connecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let member = Arc::clone(self);
        tokio::spawn(async move {
            member.connection.connect().await;
            member.connecting.store(false, Ordering::Release);
        });
    }

    /// Sends the call here, and learns from what becomes of it.
    pub(super) async fn send(&self, request: Request, may_be_sent_again: bool) -> Result<Response, Unsent> {
        let flight = Flight::begin(self, may_be_sent_again);
        let sent = self.connection.send(request).await;
        match &sent {
            Ok(response) => flight.answered(is_failure(response)),
            Err(_) => flight.unsent(),
        }
        sent
    }
}

impl State {
    fn rank(&self, now: Instant, silent_after: Duration, may_be_sent_again: bool) -> Rank {
        match &self.ejected {
            Some(ejected) if ejected.may_be_probed(now, may_be_sent_again) => Rank::Probe,
            Some(_) => Rank::Ejected,
            None if self.owing_since.is_some_and(|since| now - since > silent_after) => Rank::Silent,
            None => Rank::Good,
        }
    }

    /// What the next call would cost. One that was slow is tried again once its time is forgotten, by one call:
    /// until that is answered, the old time counts.
    fn cost(&self, now: Instant) -> u128 {
        let time = if self.in_flight == 0 { self.forgotten(now) } else { self.time };
        time.max(LEAST_COST).as_micros() * u128::from(self.in_flight + 1)
    }

    fn forgotten(&self, now: Instant) -> Duration {
        let age = self.measured.map_or(MEMORY, |measured| now - measured);
        weighed(self.time, MEMORY.saturating_sub(age))
    }

    /// True: the call finds out whether an ejected replica works again.
    fn begin(&mut self, now: Instant, may_be_sent_again: bool) -> bool {
        self.in_flight += 1;
        self.owing_since.get_or_insert(now);
        match &mut self.ejected {
            Some(ejected) if ejected.may_be_probed(now, may_be_sent_again) => {
                ejected.probing = true;
                true
            }
            _ => false,
        }
    }

    fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.owing_since = None;
        }
    }

    /// A slower answer counts at once, a quicker one little by little.
    fn measure(&mut self, now: Instant, took: Duration) {
        let age = self.measured.map_or(MEMORY, |measured| now - measured).min(MEMORY);
        self.time = if took >= self.time {
            took
        } else {
            // At least a tenth of the difference, or a busy replica would forget nothing.
            took + weighed(self.time - took, (MEMORY - age).min(MEMORY * 9 / 10))
        };
        self.measured = Some(now);
    }

    fn worked(&mut self) {
        self.failures = 0;
        self.ejected = None;
    }

    fn failed(&mut self, now: Instant, probe: bool, ejection: Duration) {
        self.failures += 1;
        let times = match &self.ejected {
            Some(ejected) if probe => ejected.times + 1,
            None if self.failures >= FAILURES => 0,
            // Answers to calls from before the ejection say nothing new.
            _ => return,
        };
        let span = ejection.saturating_mul(1 << times.min(8)).min(LONGEST_EJECTION);
        self.ejected = Some(Ejected { until: now + span, times, probing: false });
        self.failures = 0;
        metrics::counter!("caremesh_client_ejections_total").increment(1);
        tracing::warn!(ejected_ms = span.as_millis(), "a replica that does not work is ejected for a while");
    }
}

/// `span` times what is left of the memory.
fn weighed(span: Duration, left: Duration) -> Duration {
    let micros = span.as_micros() * left.as_micros() / MEMORY.as_micros();
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// A call that is under way at a replica.
struct Flight<'a> {
    member: &'a Member,
    began: Instant,
    probe: bool,
    told: bool,
}

impl<'a> Flight<'a> {
    fn begin(member: &'a Member, may_be_sent_again: bool) -> Self {
        let began = Instant::now();
        let probe = member.lock().begin(began, may_be_sent_again);
        Self { member, began, probe, told: false }
    }

    fn answered(mut self, failed: bool) {
        let now = Instant::now();
        self.told = true;
        let mut state = self.member.lock();
        state.end();
        // An answer, whatever it says: others that wait are served as well.
        state.owing_since = state.owing_since.map(|_| now);
        state.measure(now, now - self.began);
        if failed { state.failed(now, self.probe, self.member.ejection) } else { state.worked() }
    }

    /// It never left; the connection has its own rest for that.
    fn unsent(mut self) {
        self.told = true;
        let mut state = self.member.lock();
        state.end();
        if self.probe {
            state.failed(Instant::now(), true, self.member.ejection);
        }
    }
}

impl Drop for Flight<'_> {
    /// Given up before an answer. Who gives up early has other reasons; who waited long was not answered.
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let now = Instant::now();
        let mut state = self.member.lock();
        state.end();
        if now - self.began >= self.member.silent_after {
            state.measure(now, now - self.began);
            state.failed(now, self.probe, self.member.ejection);
        } else if let Some(ejected) = state.ejected.as_mut().filter(|_| self.probe) {
            ejected.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Duration = Duration::from_secs(1);
    const EJECTION: Duration = Duration::from_secs(5);

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten_in_ten_seconds() {
        let (mut state, now) = (State::default(), Instant::now());
        state.measure(now, Duration::from_millis(2));
        state.measure(now, Duration::from_millis(400));
        assert_eq!(state.cost(now), 400_000);
        assert_eq!(state.cost(now + MEMORY / 2), 200_000);
        assert_eq!(state.cost(now + MEMORY), LEAST_COST.as_micros());
        state.begin(now + MEMORY, false);
        assert_eq!(state.cost(now + MEMORY), 800_000, "one call finds out; the rest go by what is known");
    }

    #[test]
    fn quick_answers_bring_the_cost_down_again() {
        let (mut state, now) = (State::default(), Instant::now());
        state.measure(now, Duration::from_millis(400));
        (0..100).for_each(|_| state.measure(now, Duration::from_millis(2)));
        assert!(state.cost(now) < 3_000, "{}", state.cost(now));
    }

    #[test]
    fn five_failures_in_a_row_eject_and_a_probe_that_works_brings_it_back() {
        let (mut state, now) = (State::default(), Instant::now());
        for _ in 0..FAILURES - 1 {
            state.failed(now, false, EJECTION);
        }
        state.worked();
        for _ in 0..FAILURES {
            assert_eq!(state.rank(now, SILENT, true), Rank::Good);
            state.failed(now, false, EJECTION);
        }
        assert_eq!(state.rank(now, SILENT, true), Rank::Ejected);
        let later = now + EJECTION;
        assert_eq!(state.rank(later, SILENT, false), Rank::Ejected, "what is sent once is no probe");
        assert_eq!(state.rank(later, SILENT, true), Rank::Probe);
        assert!(state.begin(later, true));
        assert_eq!(state.rank(later, SILENT, true), Rank::Ejected, "one probe at a time");
        state.failed(later, true, EJECTION);
        assert_eq!(state.rank(later + EJECTION, SILENT, true), Rank::Ejected, "longer the second time");
        assert!(state.begin(later + EJECTION * 2, true));
        state.worked();
        assert_eq!(state.rank(later, SILENT, false), Rank::Good);
    }

    #[test]
    fn one_that_owes_an_answer_for_long_is_silent_until_it_gives_one() {
        let (mut state, now) = (State::default(), Instant::now());
        state.begin(now, false);
        assert_eq!(state.rank(now + SILENT, SILENT, true), Rank::Good);
        let later = now + SILENT * 2;
        assert_eq!(state.rank(later, SILENT, true), Rank::Silent);
        state.end();
        assert_eq!(state.rank(later, SILENT, true), Rank::Good);
    }
}
