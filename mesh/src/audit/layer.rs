//! The audit layer. Outside access, so that refusals are events. A read's facts are committed before its
//! answer; a write's were taken by the transaction that made the change.

use std::sync::Arc;

use http::HeaderMap;
use tonic::body::Body;
use tonic::{Code, Status};

use super::body::AuditedBody;
use super::{AuditSink, Outcome};
use crate::access::stated_purpose;
use crate::context::{CallContext, CallParts, Facts};
use crate::deadline::Deadline;
use crate::identity::metadata::{episode, on_behalf_of};
use crate::layer::{Around, Next, Request, Response, refuse};
use crate::opening::Call;
use crate::policy::AuditClass;
use crate::principal::Principal;
use crate::reason::CommonReason;
use crate::refusal::Refusal;
use crate::status::Answer;
use crate::telemetry::TraceParent;

/// The layer.
#[derive(Clone)]
pub struct Audit {
    sink: Arc<dyn AuditSink>,
}

impl Audit {
    /// Commits events to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn AuditSink>) -> Self {
        Self { sink }
    }
}

impl Around for Audit {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let principal = request.extensions().get::<Principal>().cloned();
        let Some(context) = principal.and_then(|principal| context_of(request, principal)) else {
            return refuse(Refusal::new(CommonReason::Internal));
        };
        request.extensions_mut().insert(context.clone());
        let response = next.run(request).await;
        match refused_outcome(response.headers()) {
            Some(outcome) => self.refused(&context, outcome, response).await,
            None => self.answered(context, response).await,
        }
    }
}

/// The context before access has granted anything. None: a layer further out is missing.
pub(super) fn context_of(request: &Request, principal: Principal) -> Option<CallContext> {
    let call = Call::of(request)?;
    let method = call.method.clone()?;
    // A purpose that cannot be read is refused by access; the event then says the default.
    let stated = stated_purpose(request.headers()).ok().flatten();
    Some(CallContext::new(CallParts {
        call_id: call.id.to_string(),
        principal,
        purpose: stated.unwrap_or(method.default_purpose),
        method,
        granted: Vec::new(),
        deadline: *request.extensions().get::<Deadline>()?,
        trace_parent: TraceParent::present(),
        on_behalf_of: on_behalf_of(request.headers()),
        episode_id: episode(request.headers()),
        facts: Facts::default(),
    }))
}

/// How the call was refused, if the answer is a refusal. Streams end with theirs in the trailers; what
/// they showed before that is on record already.
pub(super) fn refused_outcome(headers: &HeaderMap) -> Option<Outcome> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    Some(Outcome::Refused { code: status.code(), reason: Answer::of(&status).reason })
}

impl Audit {
    async fn refused(&self, context: &CallContext, outcome: Outcome, response: Response) -> Response {
        let touched = context.take_touched();
        if touched.is_empty() && !is_denial(context.method().audit, &outcome) {
            return response;
        }
        // The refusal stands whether or not it could be written down: it gives nothing away.
        if self.sink.record(context.clone(), touched, outcome).await.is_err() {
            lost(context);
        }
        response
    }

    async fn answered(&self, context: CallContext, response: Response) -> Response {
        if context.method().streams_answers {
            let sink = Arc::clone(&self.sink);
            return response.map(|body| Body::new(AuditedBody::new(body, context, sink)));
        }
        match commit(&context, &self.sink).await {
            Ok(()) => response,
            Err(refusal) => refuse(refusal),
        }
    }
}

/// Commits what was reported and not yet taken.
///
/// # Errors
/// `INTERNAL` when the method is for health data and nothing was ever reported: an answer that nobody
/// can account for must not leave. `DEPENDENCY_DOWN` when the trail cannot be written.
pub(super) async fn commit(context: &CallContext, sink: &Arc<dyn AuditSink>) -> Result<(), Refusal> {
    if context.method().audit == AuditClass::Health && !context.facts().any_reported() {
        unreported(context);
        return Err(Refusal::new(CommonReason::Internal));
    }
    let touched = context.take_touched();
    if touched.is_empty() {
        return Ok(());
    }
    let recorded = sink.record(context.clone(), touched, Outcome::Ok).await;
    recorded.map_err(|_| {
        lost(context);
        Refusal::new(CommonReason::DependencyDown)
    })
}

/// Being kept out is an event on every method; not being told whether a record is there, on those that
/// have records of persons.
fn is_denial(class: AuditClass, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused { code: Code::Unauthenticated | Code::PermissionDenied, .. } => true,
        Outcome::Refused { code: Code::NotFound, .. } => class != AuditClass::None,
        _ => false,
    }
}

fn unreported(context: &CallContext) {
    let method = context.method().path.as_str();
    metrics::counter!("caremesh_audit_unreported_total", "method" => method.to_owned()).increment(1);
    tracing::error!(
        call.id = context.call_id(),
        rpc.method = method,
        "an answer with health data was withheld: the handler reported nobody"
    );
}

pub(super) fn lost(context: &CallContext) {
    let method = context.method().path.as_str();
    metrics::counter!("caremesh_audit_lost_total", "method" => method.to_owned()).increment(1);
    tracing::error!(call.id = context.call_id(), rpc.method = method, "an audit event could not be written");
}
