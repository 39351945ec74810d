//! Owned transactions: begin … commit run in a task of their own, so that a deadline or a lost client cannot drop them
//! half-way (tonic drops the handler's future on both). Must not know what is written.

use std::sync::Arc;
use std::time::Duration;

use caremesh_mesh::CallContext;
use caremesh_mesh::telemetry::carried;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::idempotency::{Intent, Turn};
use crate::tx::{Ended, Work};
use crate::{Db, Error, Kind, Tx, observe};

/// Attempts of one transaction that collides with others (40001, 40P01, SQLITE_BUSY), the first included.
const ATTEMPTS: u32 = 4;
/// First pause before a new attempt; it doubles each time.
const PAUSE: Duration = Duration::from_millis(4);

/// Under which request_id a transaction runs, if any.
#[derive(Default)]
pub(crate) struct Terms {
    pub(crate) intent: Option<Arc<Intent>>,
    /// Held until the transaction is over, however many of its callers have gone.
    pub(crate) _turn: Option<Turn>,
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
        self.write_under(context, Terms::default(), work).await
    }

    pub(crate) async fn write_under<T, E, F>(
        &self,
        context: &CallContext,
        terms: Terms,
        work: F,
    ) -> Result<T, E>
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
        let span = span(self.kind());
        let owned =
            Owned { db: self.clone(), context: context.clone(), terms, until: Instant::now() + limit, span };
        let task = owned.span.clone();
        self.inner
            .transactions
            .spawn(carried(async move { owned.run(work).await }.instrument(task)))
            .await
            .unwrap_or_else(
                // The task is never aborted, so this is a panic of the work; its transaction was rolled back on the way.
                |_| Err(Error::Panicked.into()),
            )
    }
}

fn span(kind: Kind) -> tracing::Span {
    let span = tracing::info_span!(
        "db.transaction",
        otel.name = "TRANSACTION",
        otel.kind = "client",
        otel.status_code = Empty,
        "error.type" = Empty,
        db.system.name = kind.system_name(),
        db.operation.name = "TRANSACTION",
        db.caremesh.round_trips = Empty,
        db.caremesh.attempts = Empty,
        caremesh.service = Empty,
    );
    observe::name_service(&span);
    span
}

/// A transaction and all that its task needs.
struct Owned {
    db: Db,
    context: CallContext,
    terms: Terms,
    until: Instant,
    span: tracing::Span,
}

/// How one attempt ended.
enum Attempt<T, E> {
    /// For good, one way or the other.
    Over(Result<T, E>),
    /// With a collision: the same work may succeed in a fresh transaction.
    Collided,
}

impl<T, E: From<Error>> Attempt<T, E> {
    fn failed(error: Error) -> Self {
        Self::Over(Err(error.into()))
    }
}

impl Owned {
    async fn run<T, E, F>(self, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t Tx) -> Work<'t, T, E> + Send + Sync,
        E: From<Error>,
    {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            self.span.record("db.caremesh.attempts", attempt);
            if let Attempt::Over(outcome) = self.attempt(&work).await {
                self.span.record("otel.status_code", if outcome.is_ok() { "OK" } else { "ERROR" });
                return outcome;
            }
            metrics::counter!("caremesh_db_collisions_total").increment(1);
            if Instant::now() + pause >= self.until {
                break;
            }
            // The pool's queue already spreads the contenders; the pause only lets the winner commit.
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.span.record("otel.status_code", "ERROR");
        self.span.record("error.type", observe::class(&Error::Contended));
        Err(Error::Contended.into())
    }

    async fn attempt<T, E, F>(&self, work: &F) -> Attempt<T, E>
    where
        F: for<'t> Fn(&'t Tx) -> Work<'t, T, E>,
        E: From<Error>,
    {
        let tx = match Tx::begin(&self.db, &self.context, self.terms.intent.clone()).await {
            Ok(tx) => tx,
            Err(Error::Contended) => return Attempt::Collided,
            Err(error) => return Attempt::failed(error),
        };
        let Ok(worked) = tokio::time::timeout_at(self.until, work_and_flush(&tx, work)).await else {
            // Dropping the transaction queues its ROLLBACK; the caller need not wait for it.
            tx.give_facts_back(false);
            return Attempt::failed(Error::OutOfTime);
        };
        match worked {
            Ok(value) => match tx.commit(&self.span).await {
                Ok(()) => Attempt::Over(Ok(value)),
                Err(Ended::Collided) => Attempt::Collided,
                Err(Ended::Failed(error)) => Attempt::failed(error),
            },
            Err(error) => {
                let again = tx.rollback().await;
                if again { Attempt::Collided } else { Attempt::Over(Err(error)) }
            }
        }
    }
}

async fn work_and_flush<T, E, F>(tx: &Tx, work: &F) -> Result<T, E>
where
    F: for<'t> Fn(&'t Tx) -> Work<'t, T, E>,
    E: From<Error>,
{
    let value = work(tx).await?;
    tx.flush().await?;
    Ok(value)
}
