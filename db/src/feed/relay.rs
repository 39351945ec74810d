//! Gives committed outbox rows their places in the feed, in one place for all replicas. Must not know what events mean.

use std::collections::BTreeMap;
use std::time::Duration;

use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::telemetry::Work;
use caremesh_mesh::{CallContext, Deadline};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::{Batch, Db, Error, Expect, Kind, Tx};

/// Rows placed in one transaction.
const GROUP: usize = 500;
/// How long the relay lets rows gather after it has placed some: each round is two commits, and under load a round for
/// each row would cost as much as the row. An event is told this much later at most.
const GATHER: Duration = Duration::from_millis(20);
/// How often the relay looks without being woken: rows of a process that died between commit and wake-up.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// PostgreSQL channel that tells other replicas. The relay sends it after its own commit, never a business transaction:
/// a NOTIFY inside the ledger's transaction halves the ledger.
const CHANNEL: &str = "caremesh_feed";

/// The relay of one outbox. Replicas may each run one; a lock on the feed's head lets one place at a time.
#[derive(Debug)]
pub struct Relay {
    db: Db,
    workload: SpiffeId,
}

impl Relay {
    /// A relay that acts as `workload`.
    #[must_use]
    pub fn new(db: &Db, workload: SpiffeId) -> Self {
        Self { db: db.clone(), workload }
    }

    /// Places rows as they are committed, until `stop`, and once more then.
    pub async fn run(&self, stop: CancellationToken) {
        let mut written = self.db.inner.written.subscribe();
        loop {
            written.mark_unchanged();
            match self.place_all().await {
                Ok(0) => {}
                Ok(_) => tokio::time::sleep(GATHER).await,
                Err(error) => {
                    tracing::warn!(error = %error, "outbox rows could not be placed; trying again");
                }
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                _ = written.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Places every row that is committed and has no place yet; returns how many.
    ///
    /// # Errors
    /// As [`Db::write`]; rows placed before the error stay placed.
    pub async fn place_all(&self) -> Result<usize, Error> {
        let mut placed = 0;
        while self.anything_waits().await? {
            // A trace of its own for each group that is placed, none for looking.
            let work = Work::new(self.workload.service(), "relay outbox");
            let count = work.run(self.place_and_tell()).await?;
            placed += count;
            // Less than a full group is all there was; what came since wakes the relay by itself.
            if count < GROUP {
                break;
            }
        }
        Ok(placed)
    }

    async fn place_and_tell(&self) -> Result<usize, Error> {
        let (count, head) = self.db.write(&self.context(), |tx| Box::pin(place_group(tx))).await?;
        self.tell(head).await?;
        Ok(count)
    }

    /// On PostgreSQL, hears of places that other replicas gave, until `stop`. On SQLite there are no others.
    pub async fn listen(&self, stop: CancellationToken) {
        while self.db.kind() == Kind::Postgres && !stop.is_cancelled() {
            if let Err(error) = self.listen_once(&stop).await {
                tracing::warn!(error = %Error::from_driver(error), "the feed's notifications were interrupted");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    async fn listen_once(&self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let mut listener =
            PgListener::connect_with(self.db.inner.read.get_postgres_connection_pool()).await?;
        listener.listen(CHANNEL).await?;
        loop {
            tokio::select! {
                heard = listener.recv() => {
                    let head = heard?.payload().parse().unwrap_or_default();
                    self.db.inner.feed.send_replace(head);
                }
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// A look on the read pool, so that an idle relay never takes the writer.
    async fn anything_waits(&self) -> Result<bool, Error> {
        let sql = "SELECT seq FROM outbox WHERE position IS NULL LIMIT 1";
        let statement = Statement::from_string(self.db.kind().backend(), sql);
        Ok(self.db.read(&self.context()).query_one_raw(statement).await?.is_some())
    }

    async fn tell(&self, head: i64) -> Result<(), Error> {
        self.db.inner.feed.send_replace(head);
        if self.db.kind() == Kind::Sqlite {
            return Ok(());
        }
        let values = [CHANNEL.into(), head.to_string().into()];
        let notify =
            Statement::from_sql_and_values(self.db.kind().backend(), "SELECT pg_notify($1, $2)", values);
        self.db.inner.write.query_one_raw(notify).await?;
        Ok(())
    }

    fn context(&self) -> CallContext {
        let call_id = self.db.inner.parts.ids.uuid();
        let deadline = Deadline::after(PATIENCE);
        CallContext::for_process(
            self.workload.clone(),
            "relay_outbox",
            Purpose::Operations,
            call_id,
            deadline,
        )
    }
}

/// A row that has no place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    seq: i64,
    key: String,
    revision: i64,
}

/// Returns how many rows got a place, and the feed's new head.
async fn place_group(tx: &Tx) -> Result<(usize, i64), Error> {
    let head = lock_head_in(tx).await?;
    let rows = waiting_in(tx).await?;
    let places: Vec<_> = in_order(rows)
        .into_iter()
        .zip(head + 1..)
        .map(|(row, position)| json!({ "seq": row.seq, "position": position }))
        .collect();
    let count = places.len();
    let new_head = head + i64::try_from(count).map_err(|_| Error::Corrupt("count of places"))?;
    let mut batch = Batch::new();
    let values = vec![json!(places).to_string().into()];
    batch.push("outbox_place", place_sql(tx.kind()), values, Expect::Rows(count as u64));
    let advance = "UPDATE feed_head SET position = $1 WHERE id = 1";
    batch.push("feed_head", advance, vec![new_head.into()], Expect::Rows(1));
    tx.apply(batch).await?;
    Ok((count, new_head))
}

/// An update takes the row's lock on PostgreSQL (FOR UPDATE would be dropped without a word on SQLite, where the one
/// writer holds the whole file anyway). Rows are read after it, so no two relays see the same ones.
async fn lock_head_in(tx: &Tx) -> Result<i64, Error> {
    let sql = "UPDATE feed_head SET position = position WHERE id = 1 RETURNING position";
    let row = tx.query_one_raw(Statement::from_string(tx.kind().backend(), sql)).await?;
    Ok(row.ok_or(Error::Corrupt("feed_head is empty"))?.try_get_by_index(0)?)
}

async fn waiting_in(tx: &Tx) -> Result<Vec<Waiting>, Error> {
    let sql = format!(
        "SELECT seq, ordering_key, revision FROM outbox WHERE position IS NULL ORDER BY seq LIMIT {GROUP}"
    );
    let rows = tx.query_all_raw(Statement::from_string(tx.kind().backend(), sql)).await?;
    let waiting = rows.iter().map(|row| {
        let (seq, key) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(Waiting { seq, key, revision: row.try_get_by_index(2)? })
    });
    waiting.collect()
}

/// Numbers are drawn before a transaction waits for the row it changes, so for one key they may contradict the order of
/// commits; revisions do not. Each key keeps its slots and fills them by revision.
fn in_order(rows: Vec<Waiting>) -> Vec<Waiting> {
    let mut by_key: BTreeMap<String, Vec<Waiting>> = BTreeMap::new();
    for row in &rows {
        by_key.entry(row.key.clone()).or_default().push(row.clone());
    }
    for rows in by_key.values_mut() {
        // Drawn from the end below, so the lowest revision goes last.
        rows.sort_by_key(|row| std::cmp::Reverse((row.revision, row.seq)));
    }
    rows.into_iter().filter_map(|slot| by_key.get_mut(&slot.key)?.pop()).collect()
}

fn place_sql(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "UPDATE outbox SET position = p.position FROM (SELECT r.value ->> 'seq' AS seq, \
             r.value ->> 'position' AS position FROM json_each($1) AS r) AS p \
             WHERE outbox.seq = p.seq AND outbox.position IS NULL"
        }
        Kind::Postgres => {
            "UPDATE outbox SET position = p.position \
             FROM jsonb_to_recordset($1::jsonb) AS p(seq bigint, position bigint) \
             WHERE outbox.seq = p.seq AND outbox.position IS NULL"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(seq: i64, key: &str, revision: i64) -> Waiting {
        Waiting { seq, key: key.to_owned(), revision }
    }

    #[test]
    fn a_key_is_told_in_the_order_of_its_revisions_and_others_keep_their_slots() {
        let rows = vec![waiting(1, "a", 8), waiting(2, "b", 1), waiting(3, "a", 7), waiting(4, "a", 9)];
        let order: Vec<_> = in_order(rows).into_iter().map(|row| (row.key, row.revision)).collect();
        let expected =
            [("a", 7), ("b", 1), ("a", 8), ("a", 9)].map(|(key, revision)| (key.to_owned(), revision));
        assert_eq!(order, expected);
    }
}
