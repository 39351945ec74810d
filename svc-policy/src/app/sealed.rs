//! The snapshot of a price as its keeper holds it: sealed against change, the facts of the cover encrypted with the
//! member's own key. It knows nothing of how a price comes about.

use caremesh_db::keys::Field;
use caremesh_kernel::{EventId, PersonId, PlanVersionId, TermId, Timestamp};
use caremesh_mesh::CallContext;
use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::domain::account::{Account, CauseId, PriorDraw, Snapshot};
use crate::domain::engine::Cover;
use crate::domain::plan::CrossingRule;
use crate::store::Error as StoreError;

/// A snapshot as its keeper holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSnapshot {
    /// The term.
    pub term: TermId,
    /// The plan version.
    pub plan_version: PlanVersionId,
    /// The accounts as they were read.
    pub accounts: Vec<Account>,
    /// The facts of the cover, encrypted for the engine.
    pub member_facts: Vec<u8>,
    /// When it was read.
    pub read: Timestamp,
    /// HMAC over all of it.
    pub seal: Vec<u8>,
}

impl std::fmt::Debug for SealedSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSnapshot").field("term", &self.term).finish_non_exhaustive()
    }
}

/// What a snapshot's encrypted part holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The member's person.
    pub(crate) person: PersonId,
    /// The cover in the segment.
    pub(crate) cover: Cover,
    /// The event it was read for, and its cause: other draws would decide about another one.
    pub(crate) event: (EventId, Option<CauseId>),
    /// Who drew on the accounts before.
    pub(crate) draws: Vec<PriorDraw>,
    /// How the lines were dealt out.
    pub(crate) crossing: CrossingRule,
    /// Which part of the price it belongs to, from 0.
    pub(crate) part: usize,
    /// Of how many.
    pub(crate) parts: usize,
}

impl App {
    /// Seals a snapshot with the facts that it was read for.
    pub(crate) async fn seal_snapshot(
        &self,
        context: &CallContext,
        facts: &Facts,
        snapshot: Snapshot,
    ) -> Result<SealedSnapshot, Error> {
        let plain = serde_json::to_vec(facts).map_err(|_| StoreError::Corrupt("snapshot"))?;
        let term = facts.cover.term;
        let key = self.keys.key(context, facts.person).await?;
        let mut sealed = SealedSnapshot {
            term,
            plan_version: snapshot.plan_version,
            accounts: snapshot.accounts,
            member_facts: key.seal(facts_field(&term.to_string()), &plain)?,
            read: self.clock.now(),
            seal: Vec::new(),
        };
        sealed.seal = self.seal_of(&sealed)?;
        Ok(sealed)
    }

    /// The facts of a snapshot that was given out.
    ///
    /// # Errors
    /// [`Error::Snapshot`] for one that was changed, or is somebody else's.
    pub(crate) async fn open_snapshot(
        &self,
        context: &CallContext,
        person: PersonId,
        sealed: &SealedSnapshot,
    ) -> Result<Facts, Error> {
        if self.seal_of(sealed)? != sealed.seal {
            return Err(Error::Snapshot);
        }
        let key = self.keys.key(context, person).await?;
        let opened = key.open(facts_field(&sealed.term.to_string()), &sealed.member_facts);
        let plain = opened.map_err(|_| Error::Snapshot)?;
        serde_json::from_slice(&plain).map_err(|_| Error::Snapshot)
    }

    fn seal_of(&self, sealed: &SealedSnapshot) -> Result<Vec<u8>, Error> {
        let parts = (
            sealed.term,
            sealed.plan_version,
            &sealed.accounts,
            hex::encode(&sealed.member_facts),
            sealed.read.as_micros(),
        );
        let text = serde_json::to_string(&parts).map_err(|_| StoreError::Corrupt("snapshot"))?;
        hex::decode(self.secrets.blind_index("snapshot", &text))
            .map_err(|_| StoreError::Corrupt("snapshot").into())
    }
}

fn facts_field(row: &str) -> Field<'_> {
    Field { table: "snapshot", column: "member_facts", row }
}
