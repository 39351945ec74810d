//! Lets in what can be served: known methods, within limits on calls and on open streams, for callers
//! that still wait, in turn by caller. The rest is told at once when to come back, before any work is spent on it.
//! How many calls are good for the server it finds out itself, within what is configured.

mod hall;
mod pace;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use tokio::time::Instant;
use tonic::body::Body;

use self::hall::{Asked, Caller, Full, Hall};
use self::pace::Pace;
use crate::arrival::WholeSince;
use crate::config::AdmissionConfig;
use crate::deadline::{Deadline, of_caller};
use crate::layer::{Around, Holding, Next, Request, Response, refuse};
use crate::opening::Call;
use crate::policy::MethodPolicy;
use crate::principal::Credentials;
use crate::reason::CommonReason;
use crate::refusal::Refusal;
use crate::tls::Peer;

/// The layer.
#[derive(Debug)]
pub struct Admission {
    calls: Hall,
    streams: Hall,
    retry_after: Duration,
}

impl Admission {
    /// Admits within the limits of `config`.
    #[must_use]
    pub fn new(config: &AdmissionConfig) -> Self {
        Self {
            calls: Hall::new(config, Pace::new(config.min_calls, config.max_calls)),
            // Streams live long and do little: their number says nothing of a crowd.
            streams: Hall::new(config, Pace::new(config.max_streams, config.max_streams)),
            retry_after: Duration::from_millis(config.retry_after_ms),
        }
    }

    /// The method that the request needs a place for. None: for nothing (health must answer when all places are
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
        let due = of_caller(request.headers(), call.arrived).unwrap_or_default();
        if due.is_some_and(|due| due.instant() <= call.arrived) {
            return Err(Refusal::new(CommonReason::Deadline));
        }
        let whole = request.extensions().get::<WholeSince>();
        let arrived = whole.map_or(call.arrived, |whole| whole.0);
        Ok(Some(Wanted { method: Arc::clone(method), arrived, due }))
    }

    /// The place, or a turn in the queue for it.
    fn ask(&self, request: &Request, wanted: &Wanted) -> Result<Asked, Full> {
        let hall = if wanted.method.streams_answers { &self.streams } else { &self.calls };
        hall.ask(|| caller_of(request), wanted.arrived)
    }

    fn refusal(&self, full: Full) -> Refusal {
        match full {
            Full::Late => Refusal::new(CommonReason::Deadline),
            Full::Shed => Refusal::new(CommonReason::Overloaded).retry_after(self.retry_after),
        }
    }
}

/// Whose turn it is about: the workload at the other end and the token it shows, not looked into. Who makes up
/// tokens gets turns for them, and a refusal in each: that costs less than verifying before there is a place.
fn caller_of(request: &Request) -> Caller {
    let credentials = Credentials::of(request);
    let mut hasher = DefaultHasher::new();
    credentials.peer.and_then(Peer::workload).hash(&mut hasher);
    credentials.headers.get(AUTHORIZATION).hash(&mut hasher);
    hasher.finish()
}

impl Around for Admission {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let wanted = match self.wants(request) {
            Ok(None) => return next.run(request).await,
            Ok(Some(wanted)) => wanted,
            Err(refusal) => return not_admitted(refusal),
        };
        let place = match self.ask(request, &wanted) {
            Ok(Asked::Place(place)) => Ok(place),
            Ok(Asked::Turn(turn)) => turn.wait(wanted.due).await,
            Err(full) => Err(full),
        };
        let mut place = match place {
            Ok(place) => place,
            Err(full) => return not_admitted(self.refusal(full)),
        };
        let response = next.run(request).await;
        if wanted.method.streams_answers {
            return response.map(|body| Body::new(Holding::new(body, place)));
        }
        // A unary call's work is done: who reads its answer slowly keeps no place from those who wait.
        place.finished(Arc::as_ptr(&wanted.method).addr());
        response
    }
}

/// A place to be taken, since when it is wanted, and how long its caller waits for an answer at all.
struct Wanted {
    method: Arc<MethodPolicy>,
    arrived: Instant,
    due: Option<Deadline>,
}

fn not_admitted(refusal: Refusal) -> Response {
    metrics::counter!("caremesh_server_not_admitted_total", "reason" => refusal.reason()).increment(1);
    refuse(refusal)
}
