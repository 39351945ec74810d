//! Keeps a connection that still sits inside a transaction out of the write pool (PostgreSQL, sqlx 0.9.0).
//! Must not know what the transactions do.
//!
//! sqlx 0.9.0 raises its transaction depth only after the answer to BEGIN. A `begin()` that is dropped in between leaves the
//! server inside a transaction while the client believes it is not: the next, unrelated statement on that connection is
//! acknowledged and never committed (transact-rs/sqlx #4385, #4393). The owned transactions of [`crate::Db::write`] never
//! drop a BEGIN; this guard is the second line. It asks the server on *release*, when the caller already has its answer, so
//! that a posting keeps its four round trips. Remove it once sqlx carries fix #4394.

use futures::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPoolOptions};

/// Outside a transaction block the two stamps are one instant. Sent as a simple query: the extended protocol stamps a
/// statement once per message and would see a difference that is none.
const STILL_IN_TRANSACTION: &str = "SELECT pg_catalog.now() <> pg_catalog.statement_timestamp()";

/// Adds the guard to the pool options of a write pool.
pub(crate) fn on_release(options: PgPoolOptions) -> PgPoolOptions {
    options.after_release(|connection, _| keep_if_clean(connection))
}

/// `Ok(false)` closes the connection, and the server rolls its transaction back. An error (an aborted transaction answers
/// 25P02) closes it too.
fn keep_if_clean(connection: &mut PgConnection) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
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
    //! The fault itself, without the guard and with it. When the first test fails, sqlx has been mended and this file may go.

    use caremesh_testkit::database::{DatabaseKind, TestDatabase};
    use sqlx::{Executor as _, PgPool};

    use super::*;
    use crate::{Config, Db};

    /// Drops `begin()` after its BEGIN was sent and before its answer was read; then inserts through the pool. Returns how
    /// many of `tries` acknowledged inserts are not there for anybody else.
    async fn lost_inserts(pool: &PgPool, observer: &PgPool, tries: i64) -> i64 {
        for number in 0..tries {
            let mut connection = pool.acquire().await.expect("a connection");
            {
                let begin = sqlx::Connection::begin(&mut *connection);
                futures::pin_mut!(begin);
                // One poll sends BEGIN and finds no answer yet.
                assert!(futures::poll!(&mut begin).is_pending(), "BEGIN cannot have been answered");
            }
            drop(connection);
            let insert = sqlx::query("INSERT INTO acknowledged VALUES ($1)").bind(number);
            insert.execute(pool).await.expect("acknowledged");
        }
        let row = observer.fetch_one("SELECT count(*) FROM acknowledged").await.expect("count");
        tries - row.get::<i64, _>(0)
    }

    async fn prepared() -> Option<(TestDatabase, PgPool)> {
        let database = TestDatabase::empty(DatabaseKind::Postgres).await?;
        let observer = PgPool::connect(database.url()).await.expect("observer");
        observer.execute("CREATE TABLE acknowledged (number BIGINT)").await.expect("table");
        Some((database, observer))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_the_guard_a_dropped_begin_swallows_an_acknowledged_insert() {
        let Some((database, observer)) = prepared().await else { return };
        let options = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        let unguarded = options.connect(database.url()).await.expect("pool");
        assert!(lost_inserts(&unguarded, &observer, 20).await > 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_the_guard_no_acknowledged_insert_is_lost() {
        let Some((database, observer)) = prepared().await else { return };
        let config = Config { write_connections: 1, ..Config::new(database.url()) };
        let db = Db::connect(config).await.expect("the store");
        let guarded = db.inner.write.get_postgres_connection_pool();
        assert_eq!(lost_inserts(guarded, &observer, 200).await, 0);
    }
}
