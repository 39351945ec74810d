//! Chains the lines of one database within a second of their commit and signs how far the chain reached.
//! Must not know what the lines say.

use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::Timestamp;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::telemetry::Work;
use caremesh_mesh::{CallContext, Deadline};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::chain::{GENESIS, Hash, link};
use super::{Checkpoint, Publisher, STORED, Signer, Stored};
use crate::{Batch, Db, Error, Expect, Kind, Tx};

/// Lines sealed in one transaction.
const GROUP: usize = 1_000;
/// How long a committed line may be without its seal while the sealer runs.
const WITHIN: Duration = Duration::from_secs(1);
/// How long one sealing may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sealer of one database. Replicas may each run one: a line is sealed once, whoever is first, because the update asks
/// for lines without a seal and counts them.
pub struct Sealer {
    db: Db,
    workload: SpiffeId,
    signer: Arc<Signer>,
    publisher: Arc<dyn Publisher>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sealer").field("workload", &self.workload).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer that acts as `workload`.
    #[must_use]
    pub fn new(db: &Db, workload: SpiffeId, signer: Arc<Signer>, publisher: Arc<dyn Publisher>) -> Self {
        Self { db: db.clone(), workload, signer, publisher }
    }

    /// Seals every second until `stop`, and once more then.
    pub async fn run(&self, stop: CancellationToken) {
        // The last checkpoint of an earlier life may not have left the database.
        let mut unpublished = self.last_checkpoint().await.unwrap_or_default();
        loop {
            match self.seal_all().await {
                Ok(newest) => unpublished = newest.or(unpublished),
                Err(error) => tracing::warn!(error = %error, "audit lines could not be sealed; trying again"),
            }
            unpublished = self.publish(unpublished).await;
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(WITHIN) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Seals every line that has no seal yet; returns the newest checkpoint, or none when there was nothing to seal.
    ///
    /// # Errors
    /// As [`Db::write`]; lines sealed before the error stay sealed.
    pub async fn seal_all(&self) -> Result<Option<Checkpoint>, Error> {
        let mut newest = None;
        loop {
            match Work::new(self.workload.service(), "seal audit").run(self.seal_next()).await {
                Ok(Some(checkpoint)) => newest = Some(checkpoint),
                Ok(None) => return Ok(newest),
                // Another replica sealed these lines: what is left is seen by the next round.
                Err(Error::Stale { .. } | Error::Duplicate { .. }) => return Ok(newest),
                Err(error) => return Err(error),
            }
        }
    }

    async fn seal_next(&self) -> Result<Option<Checkpoint>, Error> {
        let (signer, context) = (Arc::clone(&self.signer), self.context());
        let sealed = self.db.write(&context, move |tx| {
            let signer = Arc::clone(&signer);
            Box::pin(async move { seal_group(tx, &signer).await })
        });
        sealed.await
    }

    /// Publishes a checkpoint; gives it back when that failed, to be tried again.
    pub async fn publish(&self, checkpoint: Option<Checkpoint>) -> Option<Checkpoint> {
        let checkpoint = checkpoint?;
        match self.publisher.publish(&checkpoint).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(error = %error, audit.position = checkpoint.position, "a checkpoint could not be published");
                Some(checkpoint)
            }
        }
    }

    fn context(&self) -> CallContext {
        let deadline = Deadline::after(PATIENCE);
        let call_id = self.db.inner.parts.ids.uuid();
        CallContext::for_process(self.workload.clone(), "seal_audit", Purpose::Operations, call_id, deadline)
    }

    async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let sql = "SELECT position, hash, at, key_id, signature FROM audit_checkpoint ORDER BY position DESC LIMIT 1";
        let statement = Statement::from_string(self.db.kind().backend(), sql);
        let Some(row) = self.db.read(&self.context()).query_one_raw(statement).await? else {
            return Ok(None);
        };
        Ok(Some(Checkpoint {
            position: row.try_get_by_index(0)?,
            hash: hex::encode(row.try_get_by_index::<Vec<u8>>(1)?),
            at: Timestamp::from_micros(row.try_get_by_index(2)?),
            key_id: row.try_get_by_index(3)?,
            signature: hex::encode(row.try_get_by_index::<Vec<u8>>(4)?),
        }))
    }
}

async fn seal_group(tx: &Tx, signer: &Signer) -> Result<Option<Checkpoint>, Error> {
    let lines = unsealed_in(tx).await?;
    if lines.is_empty() {
        return Ok(None);
    }
    let (mut position, mut hash) = head_in(tx).await?;
    let mut seals = Vec::with_capacity(lines.len());
    for line in &lines {
        position += 1;
        hash = link(&hash, position, line);
        seals.push(json!({ "id": line.id(), "position": position, "hash": hex::encode(hash) }));
    }
    let checkpoint = signer.sign(position, &hash, tx.now());
    let mut batch = Batch::new();
    let count = lines.len() as u64;
    batch.push("audit_seal", seal_sql(tx.kind()), vec![json!(seals).to_string().into()], Expect::Rows(count));
    push_checkpoint(&mut batch, &checkpoint, &hash)?;
    tx.apply(batch).await?;
    Ok(Some(checkpoint))
}

async fn unsealed_in(tx: &Tx) -> Result<Vec<Stored>, Error> {
    let sql = format!("SELECT {STORED} FROM audit_event WHERE position IS NULL ORDER BY id LIMIT {GROUP}");
    let rows = tx.query_all_raw(Statement::from_string(tx.kind().backend(), sql)).await?;
    rows.iter().map(Stored::from_row).collect()
}

async fn head_in(tx: &Tx) -> Result<(i64, Hash), Error> {
    let sql =
        "SELECT position, hash FROM audit_event WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1";
    let row = tx.query_one_raw(Statement::from_string(tx.kind().backend(), sql)).await?;
    let Some(row) = row else { return Ok((0, GENESIS)) };
    let hash: Vec<u8> = row.try_get_by_index(1)?;
    let hash = hash.try_into().map_err(|_| Error::Corrupt("length of an audit hash"))?;
    Ok((row.try_get_by_index(0)?, hash))
}

fn seal_sql(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "UPDATE audit_event SET position = s.position, hash = s.hash FROM (SELECT r.value ->> 'id' AS id, \
             r.value ->> 'position' AS position, unhex(r.value ->> 'hash') AS hash FROM json_each($1) AS r) AS s \
             WHERE audit_event.id = s.id AND audit_event.position IS NULL"
        }
        Kind::Postgres => {
            "UPDATE audit_event SET position = s.position, hash = decode(s.hash, 'hex') \
             FROM jsonb_to_recordset($1::jsonb) AS s(id text, position bigint, hash text) \
             WHERE audit_event.id = s.id AND audit_event.position IS NULL"
        }
    }
}

fn push_checkpoint(batch: &mut Batch, checkpoint: &Checkpoint, hash: &Hash) -> Result<(), Error> {
    let signature = hex::decode(&checkpoint.signature).map_err(|_| Error::Corrupt("signature text"))?;
    let values = vec![
        checkpoint.position.into(),
        hash.to_vec().into(),
        checkpoint.at.as_micros().into(),
        checkpoint.key_id.as_str().into(),
        signature.into(),
    ];
    let sql =
        "INSERT INTO audit_checkpoint (position, hash, at, key_id, signature) VALUES ($1, $2, $3, $4, $5)";
    batch.push("audit_checkpoint", sql, values, Expect::Rows(1));
    Ok(())
}
