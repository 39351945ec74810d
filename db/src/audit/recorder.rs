//! Group commit for the audit of reads: while one commit is on its way, those that arrive gather for the next. A read
//! waits for its own line to be safe, but not for a commit of its own. Must not know what was read.

use caremesh_mesh::audit::{AuditSink, AuditUnavailable, Outcome};
use caremesh_mesh::telemetry::{CallScope, Work};
use caremesh_mesh::{CallContext, Touched};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{AuditRecord, insert};
use crate::{Batch, Db, Error, observe};

/// Events that may wait for the next commit; beyond it, readers wait before they may queue.
const QUEUE: usize = 1_024;
/// Lines in one insert, so that no commit grows without bound.
const GROUP: usize = 512;

struct Entry {
    records: Vec<AuditRecord>,
    /// Whose call it is, to say which service commits.
    scope: Option<CallScope>,
    safe: oneshot::Sender<bool>,
}

/// Commits audit events of reads and refusals. A cheap clone; it ends when all clones are gone and all events are safe.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Entry>,
    db: Db,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Recorder")
    }
}

impl Recorder {
    /// Starts the task that commits. [`Db::drain`] lets it commit what is queued and ends it.
    #[must_use]
    pub fn start(db: &Db) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        db.inner.transactions.spawn(commit_groups(db.clone(), waiting));
        Self { queue, db: db.clone() }
    }

    async fn record_safely(
        self,
        context: CallContext,
        touched: Vec<Touched>,
        outcome: Outcome,
    ) -> Result<(), AuditUnavailable> {
        let parts = &self.db.inner.parts;
        let records = AuditRecord::of(&context, &touched, &outcome, parts.clock.now(), parts.ids.as_ref());
        let (safe, told) = oneshot::channel();
        let entry = Entry { records, scope: CallScope::current(), safe };
        let recorded = async {
            self.queue.send(entry).await.map_err(|_| AuditUnavailable)?;
            if told.await.unwrap_or(false) { Ok(()) } else { Err(AuditUnavailable) }
        };
        recorded.instrument(span()).await
    }
}

/// In the call's own trace: how long its answer waited for its lines to be safe.
fn span() -> Span {
    let span = tracing::info_span!(
        "audit",
        otel.name = "record audit",
        otel.kind = "internal",
        caremesh.service = Empty
    );
    observe::name_service(&span);
    span
}

impl AuditSink for Recorder {
    fn record(
        &self,
        context: CallContext,
        touched: Vec<Touched>,
        outcome: Outcome,
    ) -> BoxFuture<'static, Result<(), AuditUnavailable>> {
        Box::pin(self.clone().record_safely(context, touched, outcome))
    }
}

async fn commit_groups(db: Db, mut waiting: mpsc::Receiver<Entry>) {
    let mut group = Vec::new();
    while next_group(&db, &mut waiting, &mut group).await > 0 {
        let records: Vec<AuditRecord> =
            group.iter_mut().flat_map(|entry| std::mem::take(&mut entry.records)).collect();
        let scope = group.iter().find_map(|entry| entry.scope.as_ref());
        let work = Work::new(scope.map_or("caremesh", CallScope::service), "commit audit");
        let outcome = work.run(commit(&db, &records)).await;
        if let Err(error) = &outcome {
            tracing::error!(error = %error, audit.lines = records.len(), "audit lines could not be committed");
        }
        for entry in group.drain(..) {
            // A reader that went away has no answer to hold back.
            let _gone = entry.safe.send(outcome.is_ok());
        }
    }
}

/// Waits for events; once the store drains, takes no new ones and hands out those that are queued. 0 means the end.
async fn next_group(db: &Db, waiting: &mut mpsc::Receiver<Entry>, group: &mut Vec<Entry>) -> usize {
    tokio::select! {
        biased;
        () = db.inner.draining.cancelled() => waiting.close(),
        count = waiting.recv_many(group, GROUP) => return count,
    }
    waiting.recv_many(group, GROUP).await
}

/// One statement is its own transaction: one round trip. This task is owned, so nothing drops it half-way.
async fn commit(db: &Db, records: &[AuditRecord]) -> Result<(), Error> {
    let mut batch = Batch::new();
    insert(db.kind(), records, &mut batch);
    observe::named(db.kind(), "INSERT", batch.run_on(&db.inner.write)).await?;
    metrics::histogram!("caremesh_db_audit_group_lines")
        .record(f64::from(u32::try_from(records.len()).unwrap_or(u32::MAX)));
    Ok(())
}
