//! Tokens that were refused, on the trail. Outside identity, because who is refused there never reaches the
//! audit layer. Anybody can send bad tokens, so events are limited in rate, and each says how many were left
//! out. It must not know why a token is bad.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tonic::Code;

use super::layer::{context_of, lost, refused_outcome};
use super::{AuditSink, Outcome};
use crate::context::CallContext;
use crate::layer::{Around, Next, Request, Response};
use crate::opening::Call;
use crate::principal::{Credentials, Principal};
use crate::tls::Peer;

/// Events at once, for the mistakes of a working day.
const BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// Events a second beyond that: a flood of a whole day is 40 MB of trail.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("not zero");

/// The layer.
pub struct AuditStrangers {
    sink: Arc<dyn AuditSink>,
    rate: DefaultDirectRateLimiter,
    /// Refused tokens that no event tells of yet.
    left_out: AtomicU64,
}

impl AuditStrangers {
    /// Commits events to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn AuditSink>) -> Self {
        let rate = RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST));
        Self { sink, rate, left_out: AtomicU64::new(0) }
    }

    /// The event of a call that identity refused, unless there are too many.
    fn event(&self, request: &Request, response: &Response) -> Option<(CallContext, Outcome)> {
        let outcome = refused_by_identity(request, response)?;
        if self.rate.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("caremesh_audit_refused_tokens_left_out_total").increment(1);
            return None;
        }
        let context = context_of(request, nobody_through(Credentials::of(request).peer))?;
        Some((context, with_count(outcome, self.left_out.swap(0, Ordering::Relaxed))))
    }
}

impl Around for AuditStrangers {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let response = next.run(request).await;
        let Some((context, outcome)) = self.event(request, &response) else { return response };
        // The refusal stands whether or not it could be written down: it gives nothing away.
        if self.sink.record(context.clone(), Vec::new(), outcome).await.is_err() {
            lost(&context);
        }
        response
    }
}

/// A call that identity let through has left its principal here, or has been carried off whole.
fn refused_by_identity(request: &Request, response: &Response) -> Option<Outcome> {
    let extensions = request.extensions();
    if extensions.get::<Principal>().is_some() {
        return None;
    }
    extensions.get::<Call>()?;
    let outcome = refused_outcome(response.headers())?;
    matches!(outcome, Outcome::Refused { code: Code::Unauthenticated, .. }).then_some(outcome)
}

fn nobody_through(peer: Option<&Peer>) -> Principal {
    let nobody = Principal::anonymous();
    match peer.and_then(Peer::workload) {
        Some(workload) => nobody.through(workload.clone()),
        None => nobody,
    }
}

/// `CREDENTIALS_INVALID+42`: 42 more were refused since the event before, and have none of their own.
fn with_count(outcome: Outcome, left_out: u64) -> Outcome {
    match outcome {
        Outcome::Refused { code, reason } if left_out > 0 => {
            Outcome::Refused { code, reason: format!("{reason}+{left_out}") }
        }
        other => other,
    }
}
