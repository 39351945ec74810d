//! Keeps a connection that still sits inside a transaction out of the write pool (PostgreSQL, sqlx 0.9.0).
//! Must not know what the transactions do.
//!
//! sqlx 0.9.0 raises its transaction depth only after the answer to BEGIN. A `begin()` that is dropped in between leaves the
//! server inside a transaction while the client believes it is not: the next, unrelated statement on that connection is
//! acknowledged and never committed (transact-rs/sqlx #4385, #4393). The owned transactions of [`crate::Db::write`] do not
//! drop a BEGIN; this guard is the second line, for a task that is aborted all the same. Every BEGIN of the write pool is
//! watched. When one is dropped, connections that are returned are asked whether they are still inside a transaction, and
//! closed if so. Asking always would cost 7 % of the postings (pgbench, the same statements with and without); asking on
//! acquire would cost a posting its fifth round trip. Remove this file once sqlx carries fix #4394.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPoolOptions};
use tokio::time::Instant;

/// Outside a transaction block the two stamps are one instant. Sent as a simple query: the extended protocol stamps a
/// statement once per message and would see a difference that is none.
const STILL_IN_TRANSACTION: &str = "SELECT pg_catalog.now() <> pg_catalog.statement_timestamp()";

/// How long returned connections are asked after a dropped BEGIN. Its own connection is returned at once, so this is ample.
const SUSPICION_MS: u64 = 60_000;

/// Watches the BEGINs of one write pool. A cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    start: Instant,
    /// Until when returned connections are asked, milliseconds since `start`.
    suspicious_until_ms: Arc<AtomicU64>,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), suspicious_until_ms: Arc::default() }
    }

    /// The same BEGIN, under watch.
    pub(crate) fn watch<F: Future + Unpin>(&self, begin: F) -> Watched<F> {
        Watched { guard: self.clone(), answered: false, begin }
    }

    /// Adds the question to the pool options of a write pool.
    pub(crate) fn on_release(&self, options: PgPoolOptions) -> PgPoolOptions {
        let guard = self.clone();
        options.after_release(move |connection, _| {
            let suspicious = guard.is_suspicious();
            Box::pin(async move { if suspicious { is_clean(connection).await } else { Ok(true) } })
        })
    }

    fn suspect(&self) {
        metrics::counter!("caremesh_db_dropped_begins_total").increment(1);
        self.suspicious_until_ms.fetch_max(self.elapsed_ms() + SUSPICION_MS, Ordering::SeqCst);
    }

    fn is_suspicious(&self) -> bool {
        self.elapsed_ms() < self.suspicious_until_ms.load(Ordering::SeqCst)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// A BEGIN that tells the guard when it is dropped without its answer.
pub(crate) struct Watched<F> {
    guard: Guard,
    answered: bool,
    /// Dropped after [`Drop::drop`] has run: its connection finds the guard already suspicious.
    begin: F,
}

impl<F: Future + Unpin> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = ready!(Pin::new(&mut self.begin).poll(context));
        self.answered = true;
        Poll::Ready(answer)
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.guard.suspect();
        }
    }
}

/// `Ok(false)` closes the connection, and the server rolls its transaction back. An error (an aborted transaction answers
/// 25P02) closes it too.
fn is_clean(connection: &mut PgConnection) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        let row = sqlx::raw_sql(STILL_IN_TRANSACTION).fetch_one(connection).await?;
        let poisoned: bool = row.try_get(0)?;
        if poisoned {
            metrics::counter!("caremesh_db_poisoned_connections_total").increment(1);
            tracing::warn!("closed a pooled connection that was still inside a transaction");
        }
        Ok(!poisoned)
    })
}

#[cfg(test)]
mod tests {
    //! The fault itself, and that the guard is what mends it. When the first test fails, sqlx has been mended and this file
    //! may go.

    use caremesh_testkit::database::{DatabaseKind, TestDatabase};
    use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
    use sqlx::{Executor as _, PgPool};

    use super::*;
    use crate::{Config, Db};

    /// Drops a BEGIN after it was sent and before its answer was read; then inserts through the pool. Does so `drops` times
    /// and returns how many of the acknowledged inserts are not there for anybody else.
    async fn lost_inserts(db: &Db, watched: bool, observer: &PgPool, drops: i64) -> i64 {
        let mut dropped = 0;
        for _ in 0..drops * 20 {
            if dropped == drops {
                break;
            }
            {
                let begin = db.inner.write.begin();
                futures::pin_mut!(begin);
                let mut begin: BoxFuture<'_, _> = Box::pin(begin);
                if watched {
                    begin = Box::pin(db.inner.guard.watch(begin));
                }
                // One poll takes the idle connection, sends BEGIN and mostly finds no answer yet. On a busy machine the
                // server may be faster: that BEGIN is rolled back properly and shows nothing.
                if futures::poll!(&mut begin).is_ready() {
                    continue;
                }
            }
            dropped += 1;
            let insert = format!("INSERT INTO acknowledged VALUES ({dropped})");
            db.inner.write.execute_unprepared(&insert).await.expect("acknowledged");
        }
        let row = observer.fetch_one("SELECT count(*) FROM acknowledged").await.expect("count");
        assert_eq!(dropped, drops, "BEGIN was answered too soon too often");
        drops - row.get::<i64, _>(0)
    }

    async fn prepared() -> Option<(TestDatabase, Db, PgPool)> {
        let database = TestDatabase::empty(DatabaseKind::Postgres).await?;
        let observer = PgPool::connect(database.url()).await.expect("observer");
        observer.execute("CREATE TABLE acknowledged (number BIGINT)").await.expect("table");
        let config = Config { write_connections: 1, ..Config::new(database.url()) };
        Some((database, Db::connect(config).await.expect("the store"), observer))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_the_guard_a_dropped_begin_swallows_an_acknowledged_insert() {
        let Some((_database, db, observer)) = prepared().await else { return };
        assert!(lost_inserts(&db, false, &observer, 300).await > 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_the_guard_no_acknowledged_insert_is_lost() {
        let Some((_database, db, observer)) = prepared().await else { return };
        assert_eq!(lost_inserts(&db, true, &observer, 300).await, 0);
    }

    #[tokio::test]
    async fn only_a_begin_without_an_answer_is_suspicious() {
        let guard = Guard::new();
        guard.watch(std::future::ready(())).await;
        assert!(!guard.is_suspicious());
        drop(guard.watch(std::future::pending::<()>()));
        assert!(guard.is_suspicious());
    }
}
