//! The family of an offer: who is to be covered, opened from their profiles, and sealed again as what the cover keeps.

use std::collections::HashSet;

use caremesh_db::keys::Field;
use caremesh_kernel::{Date, MemberId, PersonId};
use caremesh_mesh::CallContext;
use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::domain::engine::Excluded;
use crate::domain::plan::Relation;
use crate::domain::policy::QuoteMember;
use crate::domain::premium::ProposedMember;
use crate::store::{Error as StoreError, Scope, policy};

/// What a cover keeps of a member that says something of the person. It has no Debug: it is health data.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MemberFacts {
    /// Day of birth, as it was when the cover began.
    pub(crate) birth: Date,
    /// ICD-10 codes of declared conditions.
    pub(crate) declared: Vec<String>,
    /// What an underwriter asks on top of the premium, basis points.
    #[serde(default)]
    pub(crate) load_bps: u32,
    /// What an underwriter has excluded.
    #[serde(default)]
    pub(crate) excluded: Vec<Excluded>,
}

/// What a cover keeps of a member, opened before a change is decided. It has no Debug: it is health data.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Whose.
    pub(crate) member: MemberId,
    /// Day of birth.
    pub(crate) birth: Date,
    /// ICD-10 codes of declared conditions.
    pub(crate) declared: Vec<String>,
    /// What an underwriter asks on top of the premium, basis points.
    pub(crate) load_bps: u32,
}

impl App {
    /// What the cover keeps of every member; those who were erased are not in it.
    pub(crate) async fn all_facts(
        &self,
        context: &CallContext,
        found: &policy::Found,
    ) -> Result<Vec<Facts>, Error> {
        let mut all = Vec::with_capacity(found.members.len());
        for row in &found.members {
            match self.open_facts(context, row).await {
                Ok(MemberFacts { birth, declared, load_bps, .. }) => {
                    all.push(Facts { member: row.id, birth, declared, load_bps });
                }
                Err(Error::Store(caremesh_db::Error::KeyDestroyed)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The members with their ages, for a premium. Every person must be one that the caller may know.
    pub(crate) async fn proposed(
        &self,
        context: &CallContext,
        scope: &Scope,
        holder: PersonId,
        members: &[QuoteMember],
    ) -> Result<Vec<ProposedMember>, Error> {
        check_family(holder, members)?;
        self.get_person(context, scope, holder).await?;
        let mut proposed = Vec::with_capacity(members.len());
        for member in members {
            let person = self.get_person(context, scope, member.person).await?;
            context.touched(caremesh_mesh::Touched::read(person.id, person.id));
            proposed.push(ProposedMember {
                relation: member.relation,
                birth: person.profile.birth,
                conditions: member.declared.clone(),
                load_bps: 0,
            });
        }
        Ok(proposed)
    }

    /// Declared conditions of a quote's member, sealed for its row; none when nothing was declared.
    pub(crate) async fn seal_declared(
        &self,
        context: &CallContext,
        row: &str,
        member: &QuoteMember,
    ) -> Result<Option<String>, Error> {
        if member.declared.is_empty() {
            return Ok(None);
        }
        let plain =
            serde_json::to_vec(&member.declared).map_err(|_| StoreError::Corrupt("quote_member.declared"))?;
        let sealed = self.keys.key(context, member.person).await?.seal(declared(row), &plain)?;
        Ok(Some(hex::encode(sealed)))
    }

    /// Declared conditions of a quote's member.
    pub(crate) async fn open_declared(
        &self,
        context: &CallContext,
        row: &str,
        person: PersonId,
        sealed: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let Some(sealed) = sealed.filter(|sealed| !sealed.is_empty()) else { return Ok(Vec::new()) };
        let sealed = hex::decode(sealed).map_err(|_| StoreError::Corrupt("quote_member.declared"))?;
        let plain = self.keys.key(context, person).await?.open(declared(row), &sealed)?;
        Ok(serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("quote_member.declared"))?)
    }

    /// A member's facts, sealed for the member's row.
    pub(crate) async fn seal_facts(
        &self,
        context: &CallContext,
        person: PersonId,
        member: MemberId,
        plain: &MemberFacts,
    ) -> Result<String, Error> {
        let plain = serde_json::to_vec(plain).map_err(|_| StoreError::Corrupt("member.facts"))?;
        let row = member.to_string();
        Ok(hex::encode(self.keys.key(context, person).await?.seal(facts(&row), &plain)?))
    }

    /// A member's facts.
    pub(crate) async fn open_facts(
        &self,
        context: &CallContext,
        row: &policy::MemberRow,
    ) -> Result<MemberFacts, Error> {
        let sealed = hex::decode(&row.facts_sealed).map_err(|_| StoreError::Corrupt("member.facts"))?;
        let key = self.keys.key(context, row.person_id).await?;
        let plain = key.open(facts(&row.id.to_string()), &sealed)?;
        Ok(serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("member.facts"))?)
    }
}

fn declared(row: &str) -> Field<'_> {
    Field { table: "quote_member", column: "declared_sealed", row }
}

fn facts(row: &str) -> Field<'_> {
    Field { table: "member", column: "facts_sealed", row }
}

/// Each person once, and SELF is the policyholder and nobody else.
fn check_family(holder: PersonId, members: &[QuoteMember]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for (index, member) in members.iter().enumerate() {
        let refused = |rule| Err(Error::Field { field: format!("members[{index}].person_id"), rule });
        if !seen.insert(member.person) {
            return refused("members.person_once");
        }
        if (member.relation == Relation::Holder) != (member.person == holder) {
            return refused("members.self_is_policyholder");
        }
    }
    Ok(())
}
