//! The three questions to ask of every process, for tests: does repeating each step change anything, does failing each
//! step leave anything behind, does failing and repeating each compensation hurt. Must not know what the steps do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use caremesh_kernel::{Clock, ProcessId, Timestamp};
use caremesh_mesh::CallContext;
use caremesh_mesh::identity::SpiffeId;

use super::{Flow, Runner, State, StepCall, StepDone, StepError};
use crate::{Db, Parts};

/// A process under rehearsal and the world it acts on.
#[async_trait]
pub trait Rehearsal: Send + Sync {
    /// A store in a fresh world, opened with these parts (their clock leaps over pauses).
    async fn fresh(&self, parts: Parts) -> Db;
    /// The process kind, acting on that world.
    fn flow(&self) -> Arc<dyn Flow>;
    /// Starts one process in that world.
    async fn start(&self, db: &Db) -> ProcessId;
    /// Panics unless everything the process is for has happened exactly once.
    async fn assert_done(&self, db: &Db);
    /// Panics unless nothing of the process is left.
    async fn assert_undone(&self, db: &Db);
    /// A context to read processes with.
    fn context(&self) -> CallContext;
    /// The workload the runner acts as.
    fn workload(&self) -> SpiffeId;
}

/// Asks the three questions of every step.
///
/// # Panics
/// When an answer is wrong, naming the step and the fault.
pub async fn rehearse(rehearsal: &dyn Rehearsal) {
    let steps = rehearsal.flow().steps().len();
    play(rehearsal, Faults::default(), State::Done).await;
    play(rehearsal, Faults { repeat: true, ..Faults::default() }, State::Done).await;
    for step in 0..steps {
        for after in [false, true] {
            let fail = Some((step, after));
            play(rehearsal, Faults { fail, ..Faults::default() }, State::Undone).await;
            for undo in 0..=step {
                play(rehearsal, Faults { fail, fail_undo: Some(undo), ..Faults::default() }, State::Undone)
                    .await;
            }
            play(rehearsal, Faults { fail, repeat: true, ..Faults::default() }, State::Undone).await;
        }
    }
}

async fn play(rehearsal: &dyn Rehearsal, faults: Faults, expected: State) {
    let parts = Parts { clock: Arc::new(LeapingClock::default()), ..Parts::default() };
    let db = rehearsal.fresh(parts).await;
    let id = rehearsal.start(&db).await;
    let flow = Arc::new(Faulty { inner: rehearsal.flow(), faults, undo_failed: AtomicBool::new(false) });
    let runner = Runner::new(&db, rehearsal.workload(), [flow as Arc<dyn Flow>]);
    let mut state = State::Running;
    for _ in 0..200 {
        runner.run_due().await.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
        let process = db.find_process(&rehearsal.context(), id).await;
        let process = process.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
        state = process.unwrap_or_else(|| panic!("{faults:?}: the process is gone")).state;
        if !matches!(state, State::Running | State::Compensating) {
            break;
        }
    }
    assert_eq!(state, expected, "{faults:?}");
    match state {
        State::Done => rehearsal.assert_done(&db).await,
        _ => rehearsal.assert_undone(&db).await,
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Every step and compensation is done twice, as after a lost answer.
    repeat: bool,
    /// This step is given up, before or after (`true`) it had its effect.
    fail: Option<(usize, bool)>,
    /// The compensation of this step fails once after it had its effect, and is repeated.
    fail_undo: Option<usize>,
}

struct Faulty {
    inner: Arc<dyn Flow>,
    faults: Faults,
    undo_failed: AtomicBool,
}

#[async_trait]
impl Flow for Faulty {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn steps(&self) -> &'static [&'static str] {
        self.inner.steps()
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        if self.faults.fail == Some((call.step, false)) {
            return Err(StepError::GiveUp("REHEARSED_BEFORE"));
        }
        if self.faults.repeat {
            self.inner.run(call).await?;
        }
        let done = self.inner.run(call).await?;
        if self.faults.fail == Some((call.step, true)) {
            return Err(StepError::GiveUp("REHEARSED_AFTER"));
        }
        Ok(done)
    }

    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError> {
        if self.faults.repeat {
            self.inner.undo(call).await?;
        }
        let done = self.inner.undo(call).await?;
        if self.faults.fail_undo == Some(call.step) && !self.undo_failed.swap(true, Ordering::SeqCst) {
            return Err(StepError::Retry("REHEARSED_UNDO"));
        }
        Ok(done)
    }
}

/// An hour later each time it is asked, so that no pause has to be waited for.
#[derive(Debug, Default)]
struct LeapingClock(AtomicI64);

impl Clock for LeapingClock {
    fn now(&self) -> Timestamp {
        const HOUR_MICROS: i64 = 3_600_000_000;
        Timestamp::from_micros(self.0.fetch_add(HOUR_MICROS, Ordering::SeqCst) + HOUR_MICROS)
    }
}
