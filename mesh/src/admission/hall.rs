//! Places for calls, and those who wait for one: each caller in a queue of its own, served in turn, so that one who
//! asks for much delays himself and not the others. Must not know what a call does.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::pace::Pace;
use crate::{config::AdmissionConfig, deadline::Deadline};

/// A crowd is over when nobody has had to wait for so many times the longest wait.
const CALM: u32 = 4;

/// Who asks, for the sake of turns only: nothing is believed of it.
pub(super) type Caller = u64;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many wait, or it took too long.
    Shed,
    /// The caller does not wait any more.
    Late,
}

/// The places. A cheap clone.
#[derive(Clone, Debug)]
pub(super) struct Hall(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    most_waiting: usize,
    longest_wait: Duration,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    taken: usize,
    waiting: usize,
    queues: HashMap<Caller, VecDeque<Waiting>>,
    /// Callers with somebody in their queue, in the order of their turns.
    turns: VecDeque<Caller>,
    /// The crowd that there is, or was a moment ago.
    crowd: Option<Crowd>,
}

/// A time in which callers had to wait again and again.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    since: Instant,
    /// When somebody last had to wait.
    last: Instant,
}

#[derive(Debug)]
struct Waiting {
    told: oneshot::Sender<Place>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    hall: Hall,
    since: Instant,
    /// The method, once its call was worked on to the end.
    worked_on: Option<usize>,
    /// False once it has been given back or passed on.
    held: bool,
}

impl Hall {
    pub(super) fn new(config: &AdmissionConfig, pace: Pace) -> Self {
        let state =
            State { pace, taken: 0, waiting: 0, queues: HashMap::new(), turns: VecDeque::new(), crowd: None };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            most_waiting: config.max_waiting,
            longest_wait: Duration::from_millis(config.max_wait_ms),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call that came at `arrived`, or a turn in its caller's queue. Who that is is only asked when it
    /// matters: to find it out costs more than to take a place.
    ///
    /// # Errors
    /// [`Full`] when there is no turn to be had either.
    pub(super) fn ask(&self, caller: impl FnOnce() -> Caller, arrived: Instant) -> Result<Asked, Full> {
        let mut state = self.lock();
        if state.taken < state.pace.limit() {
            state.taken += 1;
            return Ok(Asked::Place(self.place(arrived)));
        }
        let caller = caller();
        state.pace.was_short();
        state.forget_the_gone();
        if state.waiting >= self.most_waiting(&mut state, Instant::now()) {
            state.make_room(caller)?;
        }
        let until = Deadline::after(self.0.longest_wait);
        Ok(Asked::Turn(Turn { told: state.queue(caller), until }))
    }

    /// A crowd that lasts only makes everybody late, and none more served: then half as many may wait as are
    /// worked on, and the others are told at once. That the queue is short for a moment, because most of it was shed, does
    /// not end the crowd: only a while without anybody who has to wait does.
    fn most_waiting(&self, state: &mut State, now: Instant) -> usize {
        let over = self.0.longest_wait * CALM;
        let since = state.crowd.filter(|crowd| now - crowd.last <= over).map_or(now, |crowd| crowd.since);
        state.crowd = Some(Crowd { since, last: now });
        let lasts = now - since > self.0.longest_wait;
        if lasts { state.pace.limit().div_ceil(2).min(self.0.most_waiting) } else { self.0.most_waiting }
    }

    fn place(&self, since: Instant) -> Place {
        Place { hall: self.clone(), since, worked_on: None, held: true }
    }

    /// Gives a place to whoever's turn it is; those who are gone are passed over.
    fn give_back(&self, since: Instant, worked_on: Option<usize>) {
        {
            let mut state = self.lock();
            state.taken -= 1;
            if let Some(method) = worked_on {
                let now = Instant::now();
                let others = state.taken;
                state.pace.worked(now, method, now - since, others);
            }
            if state.turns.is_empty() {
                return;
            }
        }
        loop {
            // Not held while the place is handed over: who is gone drops it, and that locks too.
            let next = self.lock().next();
            let Some(next) = next else { return };
            if let Err(mut unwanted) = next.told.send(self.place(Instant::now())) {
                unwanted.held = false;
                self.lock().taken -= 1;
            }
        }
    }
}

/// What was to be had.
#[derive(Debug)]
pub(super) enum Asked {
    /// A place at once.
    Place(Place),
    /// A turn in a queue.
    Turn(Turn),
}

/// A turn in a queue; who drops it is passed over.
#[derive(Debug)]
pub(super) struct Turn {
    told: oneshot::Receiver<Place>,
    until: Deadline,
}

impl Turn {
    /// Waits for the place, at most until `due`.
    ///
    /// # Errors
    /// [`Full`] when there is none in time.
    pub(super) async fn wait(self, due: Option<Deadline>) -> Result<Place, Full> {
        let until = due.map_or(self.until, |due| due.at_most(self.until));
        match tokio::time::timeout_at(until.instant(), self.told).await {
            Ok(Ok(place)) => Ok(place),
            _ if due.is_some_and(Deadline::is_past) => Err(Full::Late),
            _ => Err(Full::Shed),
        }
    }
}

impl State {
    fn queue(&mut self, caller: Caller) -> oneshot::Receiver<Place> {
        let (told, receiver) = oneshot::channel();
        let queue = self.queues.entry(caller).or_default();
        if queue.is_empty() {
            self.turns.push_back(caller);
        }
        queue.push_back(Waiting { told });
        self.waiting += 1;
        receiver
    }

    /// The next in turn, with a place taken for it.
    fn next(&mut self) -> Option<Waiting> {
        if self.taken >= self.pace.limit() {
            return None;
        }
        let caller = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&caller)?;
        let next = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        self.waiting -= 1;
        self.taken += 1;
        Some(next)
    }

    /// Those who gave up still stand in their queues.
    fn forget_the_gone(&mut self) {
        self.queues.retain(|_, queue| {
            queue.retain(|waiting| !waiting.told.is_closed());
            !queue.is_empty()
        });
        self.turns.retain(|caller| self.queues.contains_key(caller));
        self.waiting = self.queues.values().map(VecDeque::len).sum();
    }

    /// Of the longest queue the last one goes, for one of a caller who asks for less.
    fn make_room(&mut self, caller: Caller) -> Result<(), Full> {
        let own = self.queues.get(&caller).map_or(0, VecDeque::len);
        let longest = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len());
        match longest {
            Some((_, queue)) if queue.len() > own + 1 => {
                // Dropped, and so told.
                drop(queue.pop_back());
                self.waiting -= 1;
                Ok(())
            }
            _ => Err(Full::Shed),
        }
    }
}

impl Place {
    /// The call was worked on to its end; its time says how crowded it is.
    pub(super) fn finished(&mut self, method: usize) {
        self.worked_on = Some(method);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.held {
            self.hall.give_back(self.since, self.worked_on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hall(places: usize, waiting: usize) -> Hall {
        let config = AdmissionConfig { max_waiting: waiting, ..AdmissionConfig::default() };
        Hall::new(&config, Pace::new(places, places))
    }

    async fn take(hall: &Hall, caller: Caller) -> Result<Place, Full> {
        match hall.ask(|| caller, Instant::now())? {
            Asked::Place(place) => Ok(place),
            Asked::Turn(turn) => turn.wait(None).await,
        }
    }

    /// Waits in a task of its own, and says its name when it has a place.
    fn wait(
        hall: &Hall,
        caller: Caller,
        said: &Arc<Mutex<Vec<Caller>>>,
    ) -> tokio::task::JoinHandle<Result<(), Full>> {
        let (hall, said) = (hall.clone(), said.clone());
        tokio::spawn(async move {
            let place = take(&hall, caller).await?;
            said.lock().expect("a lock").push(caller);
            drop(place);
            Ok(())
        })
    }

    #[tokio::test]
    async fn callers_are_served_in_turn_however_much_one_asks_for() {
        let (hall, said) = (hall(1, 100), Arc::default());
        let busy = take(&hall, 0).await.expect("a place");
        let greedy: Vec<_> = (0..20).map(|_| wait(&hall, 1, &said)).collect();
        tokio::task::yield_now().await;
        let modest = wait(&hall, 2, &said);
        tokio::task::yield_now().await;
        drop(busy);
        modest.await.expect("no panic").expect("a place");
        for one in greedy {
            one.await.expect("no panic").expect("a place");
        }
        let turn = said.lock().expect("a lock").iter().position(|caller| *caller == 2);
        assert!(turn.is_some_and(|turn| turn <= 1), "{turn:?}");
    }

    #[tokio::test]
    async fn when_the_queue_is_full_the_longest_gives_way_to_one_who_asks_for_less() {
        let (hall, said) = (hall(1, 4), Arc::default());
        let busy = take(&hall, 0).await.expect("a place");
        let greedy: Vec<_> = (0..4).map(|_| wait(&hall, 1, &said)).collect();
        tokio::task::yield_now().await;
        let modest = wait(&hall, 2, &said);
        tokio::task::yield_now().await;
        assert_eq!(
            wait(&hall, 1, &said).await.expect("no panic"),
            Err(Full::Shed),
            "he has most of it already"
        );
        drop(busy);
        modest.await.expect("no panic").expect("a place");
        let outcomes = futures::future::join_all(greedy).await;
        let shed = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Err(Full::Shed)))).count();
        assert_eq!(shed, 1);
    }

    #[tokio::test]
    async fn places_of_those_who_left_are_never_lost() {
        let (hall, said) = (hall(2, 100), Arc::default());
        let busy = (take(&hall, 0).await, take(&hall, 0).await);
        let waiting: Vec<_> = (0..50).map(|caller| wait(&hall, caller % 7, &said)).collect();
        tokio::task::yield_now().await;
        waiting.iter().step_by(2).for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        drop(busy);
        futures::future::join_all(waiting).await;
        assert_eq!(said.lock().expect("a lock").len(), 25);
        let both = (take(&hall, 0).await, take(&hall, 0).await);
        assert!(both.0.is_ok() && both.1.is_ok());
        assert_eq!(hall.lock().taken, 2);
    }

    /// So many wait for a place at once; how many of them were turned away without waiting?
    async fn turned_away(hall: &Hall, callers: usize) -> usize {
        let asked = (0..callers).map(|_| async {
            let began = Instant::now();
            assert!(take(hall, 1).await.is_err(), "the places are taken");
            began.elapsed()
        });
        let waited = futures::future::join_all(asked).await;
        waited.into_iter().filter(|waited| *waited < Duration::from_millis(200)).count()
    }

    #[tokio::test]
    async fn in_a_crowd_that_lasts_half_as_many_may_wait_as_are_worked_on() {
        let hall = hall(2, 100);
        let _busy = (take(&hall, 0).await.expect("a place"), take(&hall, 0).await.expect("another"));
        assert_eq!(turned_away(&hall, 10).await, 0, "a passing crowd may wait");
        // All of the queue is gone by now, but it is the same crowd.
        assert_eq!(turned_away(&hall, 10).await, 9);
        assert_eq!(turned_away(&hall, 1).await, 0, "some may always wait");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(turned_away(&hall, 10).await, 0, "another crowd");
    }
}
