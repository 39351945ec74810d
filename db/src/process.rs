//! Flows that cross services, as rows: a crash anywhere is continued by whoever finds the row due. Each step has an id that
//! depends on the process and the step, never on the attempt, and a compensation. Must not know what the steps do.

mod rehearsal;
mod row;
mod runner;

use async_trait::async_trait;
use caremesh_kernel::{EpisodeId, ProcessId, Timestamp, Uuid};
use caremesh_mesh::CallContext;

pub use rehearsal::{Rehearsal, rehearse};
pub use row::{NewProcess, ProcessRow, State};
pub use runner::Runner;

/// One kind of process: its steps in their order, and how each is done and undone.
///
/// A step may run more than once with the same [`StepCall::request_id`]: after a crash, a lost lease or a lost answer. So it
/// passes that id on, and what it does locally it does in a transaction that carries it.
#[async_trait]
pub trait Flow: Send + Sync + 'static {
    /// Name of the kind, never changed once rows carry it.
    fn kind(&self) -> &'static str;

    /// Names of the steps. Append only: rows name a step by its place.
    fn steps(&self) -> &'static [&'static str];

    /// Does a step.
    ///
    /// # Errors
    /// [`StepError::Retry`] for what may pass; [`StepError::GiveUp`] for what will not, which undoes this step and all
    /// before it.
    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError>;

    /// Undoes a step. It may have happened wholly, partly or not at all, and may have been undone before.
    ///
    /// # Errors
    /// [`StepError::Retry`] for what may pass. [`StepError::GiveUp`] stops the process as STUCK: somebody must look.
    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError>;
}

/// What a step is given.
#[derive(Debug, Clone)]
pub struct StepCall {
    /// The service itself as caller, under the trace and episode of the call that started the process.
    pub context: CallContext,
    /// The process.
    pub process: ProcessId,
    /// Place of the step, from 0.
    pub step: usize,
    /// Its name.
    pub name: &'static str,
    /// For every call this step makes: the same in every attempt, another for the compensation and for another revision.
    pub request_id: Uuid,
    /// What the process carries: ids and codes, nothing personal.
    pub data: Vec<u8>,
    /// Attempts of this step that failed.
    pub attempts: i64,
    /// The instant of this attempt.
    pub now: Timestamp,
    /// The care episode.
    pub episode: Option<EpisodeId>,
}

/// What becomes of the process after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDone {
    /// What the process carries from now on; none leaves it as it is.
    pub data: Option<Vec<u8>>,
    /// Where it goes.
    pub next: Next,
}

impl StepDone {
    /// On to the next step.
    #[must_use]
    pub fn forward() -> Self {
        Self { data: None, next: Next::Forward }
    }

    /// On to the next step with other data.
    #[must_use]
    pub fn with(data: Vec<u8>) -> Self {
        Self { data: Some(data), next: Next::Forward }
    }
}

/// Where a process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To the next step (when undoing: to the one before).
    Forward,
    /// Nowhere before this instant; then the same step again, with the same request id.
    WaitUntil(Timestamp),
    /// Back to an earlier step with a new revision, so with new request ids: what it decided on has changed.
    Redo {
        /// Place of the step to go on with.
        from_step: usize,
    },
}

/// Why a step did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It may succeed later.
    #[error("the step may succeed later: {0}")]
    Retry(&'static str),
    /// It will not.
    #[error("the step will not succeed: {0}")]
    GiveUp(&'static str),
}
