//! The audit trail of a call: who, what for, whom it touched, how it ended. The layer opens the holder
//! of facts and sees that they are committed before any answer leaves; `db/` commits them. It must not
//! know tables or chains.

mod body;
mod layer;

use caremesh_kernel::{EpisodeId, PersonId};
use futures::future::BoxFuture;
use tonic::Code;

use crate::context::{CallContext, Touched};
use crate::policy::Purpose;

pub use layer::Audit;

/// How an audited call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// It was refused, or it failed, with this code and reason.
    Refused {
        /// gRPC code.
        code: Code,
        /// `ErrorInfo.reason`.
        reason: String,
    },
}

/// One event of the audit trail. Ids only: never a name, a body or a token.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Id of the call.
    pub call_id: String,
    /// Path of the method.
    pub method: String,
    /// Owner of the intent, as [`crate::Principal::caller_key`].
    pub caller: String,
    /// The calling person's record, if the caller is a person who has one.
    pub person: Option<PersonId>,
    /// The organisation of a person who is staff or a partner.
    pub organisation: Option<String>,
    /// The service at the other end of the connection; empty when none.
    pub service: String,
    /// For what.
    pub purpose: Purpose,
    /// How it ended.
    pub outcome: Outcome,
    /// Whom and what it touched.
    pub touched: Vec<Touched>,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// The care episode.
    pub episode_id: Option<EpisodeId>,
}

impl AuditEvent {
    /// The event of this call, having touched these and ended so.
    #[must_use]
    pub fn of(context: &CallContext, touched: Vec<Touched>, outcome: Outcome) -> Self {
        let principal = context.principal();
        Self {
            call_id: context.call_id().to_owned(),
            method: context.method().path.clone(),
            caller: principal.caller_key(),
            person: principal.person_id(),
            organisation: principal.person().and_then(|person| person.organisation.clone()),
            service: principal.service().to_owned(),
            purpose: context.purpose(),
            outcome,
            touched,
            trace_parent: context.trace_parent(),
            episode_id: context.episode_id(),
        }
    }
}

/// The trail could not be written; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written")]
pub struct AuditUnavailable;

/// Where events go. An event is safe when the future is done: on disk, not in a queue.
pub trait AuditSink: Send + Sync + 'static {
    /// Commits the event.
    fn record(&self, event: AuditEvent) -> BoxFuture<'static, Result<(), AuditUnavailable>>;
}
