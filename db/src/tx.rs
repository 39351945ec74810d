//! An open transaction: what its work may do with it, and how it ends. Who owns it and how long it may take is `own.rs`.
//! Must not know what is written.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use caremesh_kernel::{Timestamp, Uuid};
use caremesh_mesh::{CallContext, Touched};
use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};

use crate::faults::Point;
use crate::idempotency::Intent;
use crate::{Batch, Db, Error, Kind, audit, observe};

/// What the work of a transaction returns: `Box::pin(async move { … })`.
pub type Work<'t, T, E> = BoxFuture<'t, Result<T, E>>;

/// An open transaction. It is a [`ConnectionTrait`], so sea-orm's finders and statements take `&Tx`.
///
/// Do not open a second transaction or read pool connection while holding one: with N callers on N connections all of
/// them would wait for ever. And make no remote call.
pub struct Tx {
    connection: DatabaseTransaction,
    kind: Kind,
    context: CallContext,
    now: Timestamp,
    db: Db,
    round_trips: AtomicU32,
    collided: AtomicBool,
    pending: Mutex<Batch>,
    facts: Mutex<Told>,
    intent: Option<Arc<Intent>>,
    answered: AtomicBool,
    emitted: AtomicBool,
}

/// What the call reported as touched, while this transaction may still fail.
#[derive(Debug, Default)]
struct Told {
    /// Reported before the transaction began and not yet a row.
    before: Vec<Touched>,
    /// Turned into rows of this transaction, those from before it first.
    written: Vec<Touched>,
    /// How many were reported before the transaction began.
    count_before: usize,
}

impl Told {
    /// Gives the facts of a failed transaction back to the call: all of them when it is over, so that the audit layer still
    /// tells them; only those from before it when the work runs again and will report its own.
    fn give_back(mut self, context: &CallContext, again: bool) {
        let reported = context.take_touched();
        self.written.append(&mut self.before);
        if again {
            self.written.truncate(self.count_before);
        } else {
            self.written.extend(reported);
        }
        self.written.into_iter().for_each(|fact| context.touched(fact));
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tx").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Tx {
    /// The call this transaction belongs to.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// Which database is written.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The instant of this transaction: one for all its rows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A fresh id for a row.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.db.inner.parts.ids.uuid()
    }

    /// Adds statements that go with the next [`Tx::apply`], or before COMMIT if there is none.
    pub fn defer(&self, batch: Batch) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).append(batch);
    }

    /// Runs the batch together with everything deferred so far (outbox, audit and idempotency rows): one round trip on
    /// PostgreSQL. Returns the rows changed by each statement of `batch`.
    ///
    /// # Errors
    /// [`Error::Stale`] when a count is not the expected one; the transaction cannot be used afterwards.
    pub async fn apply(&self, mut batch: Batch) -> Result<Vec<u64>, Error> {
        let own = batch.len();
        batch.append(self.take_pending());
        let mut counts = batch.run_on(self).await?;
        counts.truncate(own);
        Ok(counts)
    }

    /// Round trips to the database so far, BEGIN included; COMMIT will be one more.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Everything deferred, and an audit row for every fact reported since the last time.
    fn take_pending(&self) -> Batch {
        let mut batch = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = std::mem::take(&mut told.before);
        fresh.extend(self.context.take_touched());
        let events = audit::of_write(&self.context, self.now, self.db.inner.parts.ids.as_ref(), &fresh);
        audit::insert(self.kind, &events, &mut batch);
        told.written.extend(fresh);
        batch
    }

    pub(crate) fn give_facts_back(&self, again: bool) {
        std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner))
            .give_back(&self.context, again);
    }

    async fn counted<T>(&self, sql: &str, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let outcome = observe::statement(self.kind, sql, work).await;
        if outcome.as_ref().is_err_and(Error::is_transient) {
            self.collided.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.kind.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let sql = statement.sql.clone();
        self.counted(&sql, self.connection.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.counted(sql, self.connection.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let sql = statement.sql.clone();
        self.counted(&sql, self.connection.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let sql = statement.sql.clone();
        self.counted(&sql, self.connection.query_all_raw(statement)).await
    }
}

impl Tx {
    /// Begins, and is never dropped half-way: the task that awaits this is owned, and no timeout is around it. Waiting for
    /// a connection is bounded by the acquire timeout, BEGIN by the server's statement timeout.
    pub(crate) async fn begin(
        db: &Db,
        context: &CallContext,
        intent: Option<Arc<Intent>>,
    ) -> Result<Self, Error> {
        db.inner.parts.faults.at(Point::BeforeBegin).await?;
        let mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
        let connection = db.inner.guard.watch(db.inner.write.begin_with_options(options)).await?;
        let before = context.take_touched();
        let facts = Told { count_before: before.len(), before, written: Vec::new() };
        Ok(Self {
            connection,
            kind: db.kind(),
            context: context.clone(),
            now: db.inner.parts.clock.now(),
            db: db.clone(),
            round_trips: AtomicU32::new(1),
            collided: AtomicBool::new(false),
            pending: Mutex::default(),
            facts: Mutex::new(facts),
            intent,
            answered: AtomicBool::new(false),
            emitted: AtomicBool::new(false),
        })
    }

    pub(crate) fn intent(&self) -> Option<&Intent> {
        self.intent.as_deref()
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_emitted(&self) {
        self.emitted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Runs what was deferred and never applied: one more round trip, for work that did not call [`Tx::apply`] last.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.take_pending().run_on(self).await?;
        self.db.inner.parts.faults.at(Point::BeforeCommit).await
    }

    /// Commits and wakes who waits for new rows.
    pub(crate) async fn commit(self, span: &tracing::Span) -> Result<(), Ended> {
        let round_trips = self.round_trips.load(Ordering::Relaxed) + 1;
        span.record("db.caremesh.round_trips", round_trips);
        metrics::histogram!("caremesh_db_transaction_round_trips").record(round_trips);
        let Self { connection, db, context, facts, emitted, .. } = self;
        if let Err(error) = connection.commit().await {
            let again = Error::is_transient(&error);
            facts.into_inner().unwrap_or_else(PoisonError::into_inner).give_back(&context, again);
            return Err(if again { Ended::Collided } else { Ended::Failed(error.into()) });
        }
        if emitted.into_inner() {
            db.inner.written.send_modify(|count| *count += 1);
        }
        db.inner.parts.faults.at(Point::AfterCommit).await.map_err(Ended::Failed)
    }

    /// Rolls back; says whether the work collided with other transactions, so that it may run again.
    pub(crate) async fn rollback(self) -> bool {
        let again = self.collided.load(Ordering::Relaxed);
        self.give_facts_back(again);
        if let Err(failed) = self.connection.rollback().await {
            // The connection is broken; the server rolls back by itself.
            tracing::warn!(error = %Error::from(failed), "a rollback did not reach the database");
        }
        again
    }
}

/// Why a COMMIT did not do.
pub(crate) enum Ended {
    /// It collided: the same work may succeed in a fresh transaction.
    Collided,
    /// For good, or with an unknown outcome.
    Failed(Error),
}
