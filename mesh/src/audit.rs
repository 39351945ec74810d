//! The audit trail of a call: who, what for, whom it touched, how it ended. The layer opens the holder
//! of facts and sees that they are committed before any answer leaves; `db/` commits them. It must not
//! know tables or chains.

mod body;
mod layer;
mod stranger;

use futures::future::BoxFuture;
use tonic::Code;

use crate::context::{CallContext, Touched};

pub use layer::Audit;
pub use stranger::AuditStrangers;

/// How an audited call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// It was refused, or it failed, with this code and reason.
    Refused {
        /// gRPC code.
        code: Code,
        /// `ErrorInfo.reason`. `CREDENTIALS_INVALID+42` for a refused token: 42 more since the event before it were
        /// refused and are on the trail only here.
        reason: String,
    },
}

impl Outcome {
    /// `OK`, or the reason of the refusal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "OK",
            Self::Refused { reason, .. } => reason,
        }
    }
}

/// The trail could not be written; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written")]
pub struct AuditUnavailable;

/// Where events go. An event is safe when the future is done: on disk, not in a queue.
pub trait AuditSink: Send + Sync + 'static {
    /// Commits that the call of `context` touched these records and ended so. Without records it is the
    /// event of a refusal that named none.
    fn record(
        &self,
        context: CallContext,
        touched: Vec<Touched>,
        outcome: Outcome,
    ) -> BoxFuture<'static, Result<(), AuditUnavailable>>;
}
