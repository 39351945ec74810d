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
