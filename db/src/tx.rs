//! Owned transactions: begin … commit run in a task of their own, so that a deadline or a lost client cannot drop them
//! half-way (tonic drops the handler's future on both). Must not know what is written.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use caremesh_kernel::{Timestamp, Uuid};
use caremesh_mesh::{CallContext, Touched};
use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::faults::Point;
use crate::{Batch, Db, Error, Kind, audit, observe};

/// What the work of a transaction returns: `Box::pin(async move { … })`.
pub type Work<'t, T, E> = BoxFuture<'t, Result<T, E>>;

/// Attempts of one transaction that collides with others (40001, 40P01, SQLITE_BUSY), the first included.
const ATTEMPTS: u32 = 4;
/// First pause before a new attempt; it doubles each time.
const PAUSE: Duration = Duration::from_millis(4);

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

    /// Everything deferred, and an audit row for every fact reported since the last time.
    fn take_pending(&self) -> Batch {
        let mut batch = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = std::mem::take(&mut told.before);
        fresh.extend(self.context.take_touched());
        let events = audit::events_of(&self.context, self.now, self.db.inner.parts.ids.as_ref(), &fresh);
        audit::insert(self.kind, &events, &mut batch);
        told.written.extend(fresh);
        batch
    }

    fn give_facts_back(&self, again: bool) {
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

/// How one attempt ended.
enum Attempt<T, E> {
    /// For good, one way or the other.
    Over(Result<T, E>),
    /// With a collision: the same work may succeed in a fresh transaction.
    Collided,
}

impl Db {
    /// Runs `work` in a transaction of its own task and returns what it returned, once COMMIT is acknowledged.
    ///
    /// Dropping the returned future drops nothing but the answer. The work is bounded by what remains of the call's
    /// deadline and by `transaction_limit_ms`; when that passes, or when it returns an error, everything is rolled back.
    /// After a collision (40001, 40P01, SQLITE_BUSY) it runs again, at most four times in all, so it must not change
    /// anything outside the transaction.
    ///
    /// Records that the work reports with `context.touched(…)` become audit rows of this transaction.
    ///
    /// # Errors
    /// What `work` returned, or an [`Error`]: [`Error::Overloaded`] (no connection), [`Error::OutOfTime`],
    /// [`Error::Contended`] (collided every time), [`Error::Draining`], [`Error::Unreachable`], [`Error::Panicked`].
    pub async fn write<T, E, F>(&self, context: &CallContext, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t Tx) -> Work<'t, T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if self.inner.transactions.is_closed() {
            return Err(Error::Draining.into());
        }
        let limit = self.inner.config.transaction_limit().min(context.deadline().remaining());
        if limit.is_zero() {
            return Err(Error::OutOfTime.into());
        }
        let span = transaction_span(self.kind());
        let task =
            run(self.clone(), context.clone(), work, Instant::now() + limit, span.clone()).instrument(span);
        self.inner.transactions.spawn(task).await.unwrap_or_else(|_| Err(Error::Panicked.into()))
    }
}

fn transaction_span(kind: Kind) -> tracing::Span {
    tracing::info_span!(
        "db.transaction",
        otel.name = "TRANSACTION",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = kind.system_name(),
        db.operation.name = "TRANSACTION",
        db.caremesh.round_trips = Empty,
        db.caremesh.attempts = Empty,
    )
}

async fn run<T, E, F>(
    db: Db,
    context: CallContext,
    work: F,
    until: Instant,
    span: tracing::Span,
) -> Result<T, E>
where
    F: for<'t> Fn(&'t Tx) -> Work<'t, T, E> + Send + Sync,
    E: From<Error>,
{
    let mut pause = PAUSE;
    for attempt in 1..=ATTEMPTS {
        span.record("db.caremesh.attempts", attempt);
        match attempt_once(&db, &context, &work, until, &span).await {
            Attempt::Over(outcome) => {
                span.record("otel.status_code", if outcome.is_ok() { "OK" } else { "ERROR" });
                return outcome;
            }
            Attempt::Collided => metrics::counter!("caremesh_db_collisions_total").increment(1),
        }
        if Instant::now() + pause >= until {
            break;
        }
        // The pool's queue already spreads the contenders; the pause only lets the winner commit.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    span.record("otel.status_code", "ERROR");
    Err(Error::Contended.into())
}

async fn attempt_once<T, E, F>(
    db: &Db,
    context: &CallContext,
    work: &F,
    until: Instant,
    span: &tracing::Span,
) -> Attempt<T, E>
where
    F: for<'t> Fn(&'t Tx) -> Work<'t, T, E>,
    E: From<Error>,
{
    let tx = match Tx::begin(db, context).await {
        Ok(tx) => tx,
        Err(Error::Contended) => return Attempt::Collided,
        Err(error) => return Attempt::Over(Err(error.into())),
    };
    let Ok(worked) = tokio::time::timeout_at(until, work_and_flush(&tx, work)).await else {
        // Dropping the transaction queues its ROLLBACK; the caller need not wait for it.
        tx.give_facts_back(false);
        return Attempt::Over(Err(Error::OutOfTime.into()));
    };
    match worked {
        Ok(value) => tx.commit(value, span).await,
        Err(error) => tx.rollback(error).await,
    }
}

async fn work_and_flush<T, E, F>(tx: &Tx, work: &F) -> Result<T, E>
where
    F: for<'t> Fn(&'t Tx) -> Work<'t, T, E>,
    E: From<Error>,
{
    let value = work(tx).await?;
    let left = tx.take_pending();
    left.run_on(tx).await?;
    tx.db.inner.parts.faults.at(Point::BeforeCommit).await?;
    Ok(value)
}

impl Tx {
    /// Begins, and is never dropped half-way: the task that awaits this is owned, and no timeout is around it. Waiting for
    /// a connection is bounded by the acquire timeout, BEGIN by the server's statement timeout.
    async fn begin(db: &Db, context: &CallContext) -> Result<Self, Error> {
        db.inner.parts.faults.at(Point::BeforeBegin).await?;
        let mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
        let connection = db.inner.write.begin_with_options(options).await?;
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
        })
    }

    async fn commit<T, E: From<Error>>(self, value: T, span: &tracing::Span) -> Attempt<T, E> {
        span.record("db.caremesh.round_trips", self.round_trips.load(Ordering::Relaxed) + 1);
        let Self { connection, db, context, facts, .. } = self;
        if let Err(error) = connection.commit().await {
            let again = Error::is_transient(&error);
            facts.into_inner().unwrap_or_else(PoisonError::into_inner).give_back(&context, again);
            return if again { Attempt::Collided } else { Attempt::Over(Err(Error::from(error).into())) };
        }
        db.committed();
        match db.inner.parts.faults.at(Point::AfterCommit).await {
            Ok(()) => Attempt::Over(Ok(value)),
            Err(lost) => Attempt::Over(Err(lost.into())),
        }
    }

    async fn rollback<T, E>(self, error: E) -> Attempt<T, E> {
        let again = self.collided.load(Ordering::Relaxed);
        self.give_facts_back(again);
        if let Err(failed) = self.connection.rollback().await {
            // The connection is broken; the server rolls back by itself.
            tracing::warn!(error = %Error::from(failed), "a rollback did not reach the database");
        }
        if again { Attempt::Collided } else { Attempt::Over(Err(error)) }
    }
}
