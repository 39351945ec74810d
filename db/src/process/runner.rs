//! Finds due processes, leases them, runs their steps and writes down what came of it. Replicas may each run one.
//! Must not know what the steps do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::{Timestamp, Uuid};
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::telemetry::{Work, trace_parent};
use caremesh_mesh::{CallContext, Deadline};
use sea_orm::{ConnectionTrait, Statement};
use tokio_util::sync::CancellationToken;

use super::row::COLUMNS;
use super::{Flow, ProcessRow, State, StepCall, StepDone, StepError};
use crate::{Batch, Db, Error, Expect};

/// How long a claimed process belongs to its runner. After a crash it waits this long.
const LEASE_MS: i64 = 60_000;
/// How long a step may take: well within the lease, so that no two runners work on one step.
const STEP_LIMIT: Duration = Duration::from_secs(30);
/// Processes claimed at a time.
const CLAIM: i64 = 16;
/// How often the runner looks.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the processes of one service.
pub struct Runner {
    db: Db,
    workload: SpiffeId,
    /// Names this runner on its leases.
    owner: Uuid,
    flows: HashMap<&'static str, Arc<dyn Flow>>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Runner").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner that acts as `workload` and knows these kinds; it leaves others alone.
    #[must_use]
    pub fn new(db: &Db, workload: SpiffeId, flows: impl IntoIterator<Item = Arc<dyn Flow>>) -> Self {
        let flows = flows.into_iter().map(|flow| (flow.kind(), flow)).collect();
        Self { db: db.clone(), workload, owner: db.inner.parts.ids.uuid(), flows }
    }

    /// Works until `stop`; a step that is running then is finished.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let worked = self.run_due().await.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "due processes could not be worked on; trying again");
                0
            });
            if worked == 0 {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// One step of each process that is due now, by the clock of the store; returns how many.
    ///
    /// # Errors
    /// As [`Db::write`]; a step that was done and not written down is done again with the same request id.
    pub async fn run_due(&self) -> Result<usize, Error> {
        let claimed = self.claim().await?;
        let count = claimed.len();
        let steps = claimed.into_iter().map(|process| self.work_on(process));
        for outcome in futures::future::join_all(steps).await {
            outcome?;
        }
        Ok(count)
    }

    /// By lease: an update with its condition, which a second runner evaluates anew after the first has committed.
    async fn claim(&self) -> Result<Vec<ProcessRow>, Error> {
        let kinds = self.kinds();
        let sql = format!(
            "UPDATE process SET lease_owner = $1, lease_until = $2 WHERE id IN (SELECT id FROM process \
             WHERE state IN ('RUNNING', 'COMPENSATING') AND next_time <= $3 AND lease_until <= $3 \
             AND kind IN ({kinds}) ORDER BY next_time, id LIMIT $4) AND lease_until <= $3 RETURNING {COLUMNS}"
        );
        let owner = self.owner.to_string();
        self.db
            .write(&self.context(), move |tx| {
                let now = tx.now();
                let lease = now.plus_ms(LEASE_MS).as_micros();
                let values = [owner.as_str().into(), lease.into(), now.as_micros().into(), CLAIM.into()];
                let statement = Statement::from_sql_and_values(tx.kind().backend(), &sql, values);
                Box::pin(async move {
                    let rows = tx.query_all_raw(statement).await?;
                    rows.iter().map(ProcessRow::from_row).collect()
                })
            })
            .await
    }

    /// Kinds are names in our own code, never input.
    fn kinds(&self) -> String {
        let quoted: Vec<String> =
            self.flows.keys().map(|kind| format!("'{}'", kind.replace('\'', ""))).collect();
        if quoted.is_empty() { "''".to_owned() } else { quoted.join(", ") }
    }

    async fn work_on(&self, process: ProcessRow) -> Result<(), Error> {
        let Some(flow) = self.flows.get(process.kind.as_str()) else { return Ok(()) };
        // In the trace of the call that began the process, and in a new one that links back after a day.
        let age = Duration::from_micros(self.now().micros_since(process.created_at).unsigned_abs());
        let work = Work::new(self.workload.service(), "process step")
            .continuing(process.trace_parent.as_deref(), age);
        let outcome = work.run(self.step(flow.as_ref(), &process)).await;
        if let Err(error) = &outcome {
            let (id, step) = (process.id, process.step);
            tracing::warn!(process.id = %id, process.step = step, error = %error, "a process step did not succeed");
        }
        let after = process.clone().after(flow.steps().len(), outcome, self.now());
        metrics::counter!("caremesh_db_process_steps_total", "state" => after.state.as_str()).increment(1);
        if after.state == State::Stuck {
            tracing::error!(process.id = %after.id, process.kind = %after.kind, "a process is stuck and needs somebody");
        }
        self.settle(after).await
    }

    async fn step(&self, flow: &dyn Flow, process: &ProcessRow) -> Result<StepDone, StepError> {
        // A row of a newer release may name a step that this one does not have.
        let name = flow.steps().get(process.step).ok_or(StepError::Retry("STEP_UNKNOWN"))?;
        let call = self.call(process, name);
        let work = async {
            match process.state {
                State::Compensating => flow.undo(&call).await,
                _ => flow.run(&call).await,
            }
        };
        tokio::time::timeout(STEP_LIMIT, work).await.unwrap_or(Err(StepError::Retry("STEP_TOOK_TOO_LONG")))
    }

    fn call(&self, process: &ProcessRow, name: &'static str) -> StepCall {
        let now = self.now();
        StepCall {
            context: self.context().with_trace_parent(trace_parent()).with_episode(process.episode),
            process: process.id,
            step: process.step,
            name,
            request_id: process.request_id(),
            data: process.data.clone(),
            attempts: process.attempts,
            now,
            episode: process.episode,
        }
    }

    /// Writes down what came of a step and gives the lease back. A runner that lost its lease writes nothing: the next
    /// owner does the step again with the same request id.
    async fn settle(&self, after: ProcessRow) -> Result<(), Error> {
        let owner = self.owner.to_string();
        let context = self.context();
        let settled = self.db.write(&context, move |tx| {
            let mut batch = Batch::new();
            let step = i64::try_from(after.step).unwrap_or(i64::MAX);
            let values = vec![
                after.id.to_string().into(),
                owner.as_str().into(),
                after.state.as_str().into(),
                step.into(),
                after.revision.into(),
                after.attempts.into(),
                after.next_time.as_micros().into(),
                after.data.clone().into(),
                after.reason.clone().into(),
                tx.now().as_micros().into(),
            ];
            batch.push("process", SETTLE, values, Expect::Rows(1));
            Box::pin(tx.apply(batch))
        });
        match settled.await {
            Ok(_) => Ok(()),
            Err(Error::Stale { .. }) => {
                tracing::warn!("a process lease was lost while its step ran");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> Timestamp {
        self.db.inner.parts.clock.now()
    }

    fn context(&self) -> CallContext {
        let call_id = self.db.inner.parts.ids.uuid();
        let deadline = Deadline::after(STEP_LIMIT);
        CallContext::for_process(
            self.workload.clone(),
            "run_processes",
            Purpose::Operations,
            call_id,
            deadline,
        )
    }
}

const SETTLE: &str = "UPDATE process SET state = $3, step = $4, revision = $5, attempts = $6, next_time = $7, data = $8, \
     reason = $9, updated_at = $10, lease_owner = NULL, lease_until = 0 WHERE id = $1 AND lease_owner = $2";

impl Db {
    /// A process, if there is one with this id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find_process(
        &self,
        context: &CallContext,
        id: caremesh_kernel::ProcessId,
    ) -> Result<Option<ProcessRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM process WHERE id = $1");
        let statement = Statement::from_sql_and_values(self.kind().backend(), sql, [id.to_string().into()]);
        let row = self.read(context).query_one_raw(statement).await?;
        row.as_ref().map(ProcessRow::from_row).transpose()
    }
}
