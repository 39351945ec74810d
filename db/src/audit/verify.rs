//! Walks the chain and says where it is broken, for `caremesh verify audit`. It trusts nothing in the database: only the
//! published checkpoints and the public key. Must not know what the lines say.

use std::collections::BTreeMap;

use caremesh_kernel::Timestamp;
use caremesh_mesh::CallContext;
use sea_orm::{ConnectionTrait, QueryResult, Statement};

use super::chain::{GENESIS, Hash, link};
use super::{Checkpoint, STORED, Stored, Verifier};
use crate::{Db, Error, Progress, Reader};

/// Lines read at a time.
const PAGE: i64 = 2_000;

/// What `verify audit` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Lines in the chain whose links hold.
    pub sealed: i64,
    /// Lines that no seal covers yet: the last second, or more when no sealer runs.
    pub unsealed: i64,
    /// When the oldest of those was written.
    pub oldest_unsealed: Option<Timestamp>,
    /// Checkpoints that agree with the chain.
    pub checkpoints: usize,
    /// The first broken link, if any.
    pub broken: Option<Broken>,
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Place in the chain, from 1.
    pub position: i64,
    /// What is wrong there.
    pub defect: Defect,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// No line has this place.
    #[error("the line is missing")]
    Missing,
    /// The line, its place or its hash was changed.
    #[error("the line does not have the hash that was sealed")]
    Changed,
    /// A published checkpoint says that the chain was different here.
    #[error("the chain differs from a published checkpoint")]
    Rewritten,
    /// A published checkpoint reaches further than the chain: its end was removed.
    #[error("the end of the chain is missing")]
    Shortened,
    /// A checkpoint is not signed by the trusted key.
    #[error("a checkpoint has a wrong signature")]
    Signature,
}

impl Db {
    /// Recomputes every link and compares with the checkpoints that were published outside the database; tells
    /// `progress` how many lines are done.
    ///
    /// # Errors
    /// When the database cannot be read. A broken chain is an answer, not an error.
    pub async fn verify_audit(
        &self,
        context: &CallContext,
        published: &[Checkpoint],
        verifier: &Verifier,
        progress: Progress<'_>,
    ) -> Result<AuditReport, Error> {
        let reader = self.read(context);
        let mut walk = Walk::new(published, verifier);
        let all = count_sealed(&reader).await?;
        while walk.broken.is_none() {
            progress(walk.position, all);
            let page = page_after(&reader, walk.position).await?;
            if page.is_empty() {
                break;
            }
            for row in &page {
                walk.step(row)?;
            }
        }
        walk.end();
        let (unsealed, oldest_unsealed) = tail(&reader).await?;
        let Walk { position: sealed, agreed: checkpoints, broken, .. } = walk;
        Ok(AuditReport { sealed, unsealed, oldest_unsealed, checkpoints, broken })
    }
}

struct Walk {
    position: i64,
    hash: Hash,
    /// Checkpoints not yet reached, by place.
    ahead: BTreeMap<i64, Vec<String>>,
    agreed: usize,
    broken: Option<Broken>,
}

impl Walk {
    fn new(published: &[Checkpoint], verifier: &Verifier) -> Self {
        let mut ahead: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for checkpoint in published {
            ahead.entry(checkpoint.position).or_default().push(checkpoint.hash.clone());
        }
        let forged = published.iter().find(|checkpoint| !verifier.accepts(checkpoint));
        let broken = forged.map(|forged| Broken { position: forged.position, defect: Defect::Signature });
        Self { position: 0, hash: GENESIS, ahead, agreed: 0, broken }
    }

    fn step(&mut self, row: &QueryResult) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        let expected = self.position + 1;
        let position: i64 = row.try_get_by_index(15)?;
        let sealed: Option<Vec<u8>> = row.try_get_by_index(16)?;
        if position != expected {
            self.broken = Some(Broken { position: expected, defect: Defect::Missing });
            return Ok(());
        }
        let hash = link(&self.hash, position, &Stored::from_row(row)?);
        if sealed.as_deref() != Some(hash.as_slice()) {
            self.broken = Some(Broken { position, defect: Defect::Changed });
            return Ok(());
        }
        (self.position, self.hash) = (position, hash);
        self.compare();
        Ok(())
    }

    fn compare(&mut self) {
        let Some(published) = self.ahead.remove(&self.position) else { return };
        let here = hex::encode(self.hash);
        if published.iter().all(|hash| *hash == here) {
            self.agreed += published.len();
        } else {
            self.broken = Some(Broken { position: self.position, defect: Defect::Rewritten });
        }
    }

    fn end(&mut self) {
        if self.broken.is_none() && !self.ahead.is_empty() {
            self.broken = Some(Broken { position: self.position + 1, defect: Defect::Shortened });
        }
    }
}

async fn page_after(reader: &Reader, position: i64) -> Result<Vec<QueryResult>, Error> {
    let sql = format!(
        "SELECT {STORED}, position, hash FROM audit_event WHERE position > $1 ORDER BY position LIMIT $2"
    );
    let statement =
        Statement::from_sql_and_values(reader.kind().backend(), sql, [position.into(), PAGE.into()]);
    Ok(reader.query_all_raw(statement).await?)
}

async fn count_sealed(reader: &Reader) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM audit_event WHERE position IS NOT NULL";
    let row = reader.query_one_raw(Statement::from_string(reader.kind().backend(), sql)).await?;
    Ok(row.ok_or(Error::Corrupt("count without a row"))?.try_get_by_index(0)?)
}

async fn tail(reader: &Reader) -> Result<(i64, Option<Timestamp>), Error> {
    let sql = "SELECT count(*), min(at) FROM audit_event WHERE position IS NULL";
    let row = reader.query_one_raw(Statement::from_string(reader.kind().backend(), sql)).await?;
    let row = row.ok_or(Error::Corrupt("count without a row"))?;
    let oldest: Option<i64> = row.try_get_by_index(1)?;
    Ok((row.try_get_by_index(0)?, oldest.map(Timestamp::from_micros)))
}
