//! Lets in what can be served: known methods, within limits on calls and on open streams, for callers
//! that still wait. The rest is told at once when to come back, before any work is spent on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use crate::config::AdmissionConfig;
use crate::deadline::{Deadline, of_caller};
use crate::layer::{Around, Holding, Next, Request, Response, refuse};
use crate::opening::Call;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// The layer.
#[derive(Debug)]
pub struct Admission {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    longest_wait: Duration,
    retry_after: Duration,
}

impl Admission {
    /// Admits within the limits of `config`.
    #[must_use]
    pub fn new(config: &AdmissionConfig) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(config.max_calls)),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            waiting: AtomicUsize::new(0),
            most_waiting: config.max_waiting,
            longest_wait: Duration::from_millis(config.max_wait_ms),
            retry_after: Duration::from_millis(config.retry_after_ms),
        }
    }

    /// What the request needs a place for. None: for nothing (health must answer when all places are
    /// taken, or an orchestrator kills a server for being busy).
    fn wants(&self, request: &Request) -> Result<Option<Wanted>, Refusal> {
        let call = Call::of(request).ok_or_else(|| Refusal::new(CommonReason::Internal))?;
        let Some(method) = call.method.as_ref() else {
            return Err(Refusal::new(CommonReason::MethodUnknown));
        };
        if method.is_infrastructure() {
            return Ok(None);
        }
        // A malformed timeout is the deadline layer's to refuse; here it only sets no limit.
        let caller = of_caller(request.headers(), call.arrived).unwrap_or_default();
        if caller.is_some_and(Deadline::is_past) {
            return Err(Refusal::new(CommonReason::Deadline));
        }
        let places = if method.streams_answers { &self.streams } else { &self.calls };
        Ok(Some(Wanted { places: Arc::clone(places), caller }))
    }

    async fn take(&self, wanted: Wanted) -> Result<OwnedSemaphorePermit, Refusal> {
        let Wanted { places, caller } = wanted;
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        let Some(_turn) = Turn::take(&self.waiting, self.most_waiting) else {
            return Err(self.shed());
        };
        let wait = Deadline::after(self.longest_wait);
        let until = caller.map_or(wait, |caller| caller.at_most(wait));
        match tokio::time::timeout_at(until.instant(), places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ if caller.is_some_and(Deadline::is_past) => Err(Refusal::new(CommonReason::Deadline)),
            _ => Err(self.shed()),
        }
    }

    fn shed(&self) -> Refusal {
        Refusal::new(CommonReason::Overloaded).retry_after(self.retry_after)
    }
}

impl Around for Admission {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let place = match self.wants(request) {
            Ok(None) => return next.run(request).await,
            Ok(Some(wanted)) => self.take(wanted).await,
            Err(refusal) => Err(refusal),
        };
        match place {
            Ok(place) => {
                let streams = Call::method_of(request).is_some_and(|method| method.streams_answers);
                let response = next.run(request).await;
                // A unary call's work is done: who reads its answer slowly keeps no place from those who wait.
                if streams { response.map(|body| Body::new(Holding::new(body, place))) } else { response }
            }
            Err(refusal) => not_admitted(refusal),
        }
    }
}

/// A place to be taken, and how long its caller waits for an answer at all.
struct Wanted {
    places: Arc<Semaphore>,
    caller: Option<Deadline>,
}

fn not_admitted(refusal: Refusal) -> Response {
    metrics::counter!("caremesh_server_not_admitted_total", "reason" => refusal.reason()).increment(1);
    refuse(refusal)
}

/// A turn in the queue, given back when the wait is over or its caller has gone away.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let turn = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(turn)
        // When the queue is full the turn is dropped here, which takes the count back.
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
