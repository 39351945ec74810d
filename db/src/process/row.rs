//! A process as a row, and how a step's outcome changes it: pure but for the SQL texts. Must not know runners.

use caremesh_kernel::{EpisodeId, ProcessId, Timestamp, Uuid};
use sea_orm::{QueryResult, Value};

use super::{Next, StepDone, StepError};
use crate::{Batch, Error, Expect, Tx};

/// Failed attempts of a step before it is given up and the process undone.
const RUN_ATTEMPTS: i64 = 12;
/// Failed attempts of a compensation before somebody must look.
const UNDO_ATTEMPTS: i64 = 24;
/// First pause after a failure, milliseconds; doubles each time up to [`LONGEST_PAUSE_MS`].
const PAUSE_MS: i64 = 500;
/// Longest pause after a failure, milliseconds.
const LONGEST_PAUSE_MS: i64 = 300_000;

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Steps are being done.
    Running,
    /// Steps are being undone.
    Compensating,
    /// Every step was done.
    Done,
    /// Every step that had begun was undone.
    Undone,
    /// A compensation does not succeed: somebody must look.
    Stuck,
}

impl State {
    /// Its name in rows and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Compensating => "COMPENSATING",
            Self::Done => "DONE",
            Self::Undone => "UNDONE",
            Self::Stuck => "STUCK",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let all = [Self::Running, Self::Compensating, Self::Done, Self::Undone, Self::Stuck];
        all.into_iter().find(|state| state.as_str() == text).ok_or(Error::Corrupt("state of a process"))
    }
}

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProcess {
    /// Its id; derive it from what it is about, so that a repeated start is refused by its key.
    pub id: ProcessId,
    /// Kind, as [`super::Flow::kind`] says.
    pub kind: &'static str,
    /// When its first step is due.
    pub first_time: Timestamp,
    /// What it carries: ids and codes, nothing personal.
    pub data: Vec<u8>,
}

/// A process as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// Its id.
    pub id: ProcessId,
    /// Its kind.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// Place of the step to be done or undone next, from 0.
    pub step: usize,
    /// Rises with each [`Next::Redo`].
    pub revision: i64,
    /// Failed attempts of this step.
    pub attempts: i64,
    /// When it is due.
    pub next_time: Timestamp,
    /// What it carries.
    pub data: Vec<u8>,
    /// Why it is being undone or stuck.
    pub reason: Option<String>,
    /// W3C `traceparent` of the call that started it.
    pub trace_parent: Option<String>,
    /// The care episode.
    pub episode: Option<EpisodeId>,
    /// When it was started.
    pub created_at: Timestamp,
}

/// Columns in the order that [`ProcessRow::from_row`] reads.
pub(super) const COLUMNS: &str =
    "id, kind, state, step, revision, attempts, next_time, data, reason, trace_parent, episode, created_at";

impl ProcessRow {
    pub(super) fn from_row(row: &QueryResult) -> Result<Self, Error> {
        let (id, state): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(2)?);
        let (step, episode): (i64, Option<String>) = (row.try_get_by_index(3)?, row.try_get_by_index(10)?);
        Ok(Self {
            id: id.parse().map_err(|_| Error::Corrupt("id of a process"))?,
            kind: row.try_get_by_index(1)?,
            state: State::parse(&state)?,
            step: usize::try_from(step).map_err(|_| Error::Corrupt("step of a process"))?,
            revision: row.try_get_by_index(4)?,
            attempts: row.try_get_by_index(5)?,
            next_time: Timestamp::from_micros(row.try_get_by_index(6)?),
            data: row.try_get_by_index(7)?,
            reason: row.try_get_by_index(8)?,
            trace_parent: row.try_get_by_index(9)?,
            episode: episode
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| Error::Corrupt("episode of a process"))?,
            created_at: Timestamp::from_micros(row.try_get_by_index(11)?),
        })
    }

    /// The id under which this step calls others: the same in every attempt.
    #[must_use]
    pub fn request_id(&self) -> Uuid {
        let direction = if self.state == State::Compensating { "undo" } else { "run" };
        let name = format!("{direction}:{}:{}", self.step, self.revision);
        Uuid::new_v5(&self.id.uuid(), name.as_bytes())
    }

    /// The row after its step ended so. `steps` is how many the kind has.
    #[must_use]
    pub fn after(mut self, steps: usize, outcome: Result<StepDone, StepError>, now: Timestamp) -> Self {
        match outcome {
            Ok(done) => self.moved(steps, done, now),
            Err(StepError::Retry(reason)) if self.may_try_again() => {
                self.reason = Some(reason.to_owned());
                self.next_time = now.plus_ms(pause_ms(self.attempts));
                self.attempts += 1;
                self
            }
            Err(StepError::Retry(reason) | StepError::GiveUp(reason)) => self.given_up(reason, now),
        }
    }

    fn may_try_again(&self) -> bool {
        let limit = if self.state == State::Compensating { UNDO_ATTEMPTS } else { RUN_ATTEMPTS };
        self.attempts + 1 < limit
    }

    fn moved(mut self, steps: usize, done: StepDone, now: Timestamp) -> Self {
        self.data = done.data.unwrap_or(self.data);
        (self.attempts, self.next_time) = (0, now);
        match (done.next, self.state) {
            (Next::WaitUntil(time), _) => self.next_time = time,
            (Next::Redo { from_step }, State::Running) => {
                self.step = from_step.min(self.step);
                self.revision += 1;
            }
            (_, State::Compensating) if self.step == 0 => self.state = State::Undone,
            (_, State::Compensating) => self.step -= 1,
            (_, _) => {
                self.step += 1;
                if self.step >= steps {
                    self.state = State::Done;
                }
            }
        }
        self
    }

    /// The step itself is undone too: it may have happened before it failed.
    fn given_up(mut self, reason: &str, now: Timestamp) -> Self {
        self.state = if self.state == State::Compensating { State::Stuck } else { State::Compensating };
        self.reason = Some(reason.to_owned());
        (self.attempts, self.next_time) = (0, now);
        self
    }
}

fn pause_ms(attempts: i64) -> i64 {
    let doubled = u32::try_from(attempts).unwrap_or(u32::MAX).min(20);
    (PAUSE_MS << doubled).min(LONGEST_PAUSE_MS)
}

const INSERT: &str = "INSERT INTO process (id, kind, state, step, revision, attempts, next_time, lease_owner, \
     lease_until, data, reason, trace_parent, episode, created_at, updated_at) \
     VALUES ($1, $2, 'RUNNING', 0, 0, 0, $3, NULL, 0, $4, NULL, $5, $6, $7, $7)";

impl Tx {
    /// Starts a process with this transaction: its row goes with the next [`Tx::apply`]. A second start under the same id
    /// is [`Error::Duplicate`].
    pub fn start_process(&self, process: &NewProcess) {
        let values: Vec<Value> = vec![
            process.id.to_string().into(),
            process.kind.into(),
            process.first_time.as_micros().into(),
            process.data.clone().into(),
            self.context().trace_parent().into(),
            self.context().episode_id().map(|episode| episode.to_string()).into(),
            self.now().as_micros().into(),
        ];
        let mut batch = Batch::new();
        batch.push("process", INSERT, values, Expect::Rows(1));
        self.defer(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ProcessRow {
        ProcessRow {
            id: ProcessId::from_uuid(Uuid::from_u128(1)),
            kind: "order".to_owned(),
            state: State::Running,
            step: 0,
            revision: 0,
            attempts: 0,
            next_time: Timestamp::from_micros(0),
            data: Vec::new(),
            reason: None,
            trace_parent: None,
            episode: None,
            created_at: Timestamp::from_micros(0),
        }
    }

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    #[test]
    fn a_process_is_done_after_its_last_step_and_undone_before_its_first() {
        let done = row().after(2, Ok(StepDone::forward()), NOW).after(2, Ok(StepDone::with(vec![7])), NOW);
        assert_eq!((done.state, done.data), (State::Done, vec![7]));

        let second = ProcessRow { step: 1, ..row() };
        let undoing = second.after(2, Err(StepError::GiveUp("NO_ROOM")), NOW);
        assert_eq!(
            (undoing.state, undoing.step, undoing.reason.as_deref()),
            (State::Compensating, 1, Some("NO_ROOM"))
        );
        let undone = undoing.after(2, Ok(StepDone::forward()), NOW).after(2, Ok(StepDone::forward()), NOW);
        assert_eq!(undone.state, State::Undone);
    }

    #[test]
    fn a_request_id_is_the_same_in_every_attempt_and_another_for_step_direction_and_revision() {
        let retried = row().after(2, Err(StepError::Retry("DOWN")), NOW);
        assert_eq!(retried.request_id(), row().request_id());
        let others = [
            ProcessRow { step: 1, ..row() },
            ProcessRow { state: State::Compensating, ..row() },
            row().after(2, Ok(StepDone { data: None, next: Next::Redo { from_step: 0 } }), NOW),
            ProcessRow { id: ProcessId::from_uuid(Uuid::from_u128(2)), ..row() },
        ];
        for other in others {
            assert_ne!(other.request_id(), row().request_id(), "{other:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_end() {
        let mut process = row();
        let mut pauses = Vec::new();
        while process.state == State::Running {
            process = process.after(1, Err(StepError::Retry("DOWN")), NOW);
            pauses.push(process.next_time.micros_since(NOW) / 1_000);
        }
        assert_eq!(&pauses[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!((pauses.len(), pauses[10], process.state), (12, 300_000, State::Compensating));
        while process.state == State::Compensating {
            process = process.after(1, Err(StepError::Retry("DOWN")), NOW);
        }
        assert_eq!(process.state, State::Stuck);
    }
}
