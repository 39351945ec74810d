//! A proposal as the use cases of underwriting share it: opened, with what was asked, answered and decided.

use caremesh_db::keys::{Field, PersonKey};
use caremesh_kernel::{PersonId, ProposalId, QuoteId, Timestamp};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::domain::policy::{ProposalState, Terms};
use crate::store::{Error as StoreError, Scope, proposal};

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The underwriter.
    Underwriter,
    /// The proposer.
    Proposer,
}

/// What was said. It has no Debug: it may be health data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// By whom.
    pub side: Side,
    /// What.
    pub text: String,
    /// When, microseconds.
    pub at: i64,
}

/// What is kept sealed of a proposal. It has no Debug: it is health data.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Questions and answers, the first first.
    #[serde(default)]
    pub said: Vec<Said>,
    /// The terms that were offered.
    #[serde(default)]
    pub terms: Vec<Terms>,
    /// Codes of the reasons for which it was declined.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// A proposal.
#[derive(Clone)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// The quote that is proposed.
    pub quote: QuoteId,
    /// Who proposes.
    pub policyholder: PersonId,
    /// Where it stands.
    pub state: ProposalState,
    /// Whether an underwriter has claimed it.
    pub claimed: bool,
    /// What was said and decided.
    pub detail: Detail,
    /// Rises with every change; the etag.
    pub version: i64,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Where a page of the queue ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    at: i64,
    id: ProposalId,
}

/// The proposal.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know it.
pub async fn get(app: &App, context: &CallContext, id: ProposalId) -> Result<Proposal, Error> {
    let scope = app.scope(context).await?;
    let found = proposal::find(&app.db.read(context), app.db.kind(), &scope, id).await?;
    app.open_proposal(context, &found.ok_or(Error::NotFound)?).await
}

/// Proposals in a state, those that wait the longest first.
///
/// # Errors
/// What the store answers.
pub async fn list(
    app: &App,
    context: &CallContext,
    state: ProposalState,
    page: &Page<Cursor>,
) -> Result<(Vec<Proposal>, Option<Cursor>), Error> {
    let reader = app.db.read(context);
    let after = page.after.as_ref().map(|cursor| (cursor.at, cursor.id));
    let mut listed = proposal::queue(&reader, state.name(), after, page.size + 1).await?;
    let more = listed.len() > page.size as usize;
    listed.truncate(page.size as usize);
    let mut proposals = Vec::with_capacity(listed.len());
    for (_, id) in &listed {
        if let Some(row) = proposal::find(&reader, app.db.kind(), &Scope::any(), *id).await? {
            proposals.push(app.open_proposal(context, &row).await?);
        }
    }
    let next = listed.last().filter(|_| more).map(|(at, id)| Cursor { at: *at, id: *id });
    Ok((proposals, next))
}

impl App {
    /// A proposal opened with its policyholder's key; reports that person as touched.
    pub(crate) async fn open_proposal(
        &self,
        context: &CallContext,
        row: &proposal::Row,
    ) -> Result<Proposal, Error> {
        let key = self.keys.key(context, row.policyholder).await?;
        context.touched(Touched::read(row.policyholder, row.id));
        opened(&key, row)
    }
}

pub(crate) fn opened(key: &PersonKey, row: &proposal::Row) -> Result<Proposal, Error> {
    let corrupt = || Error::from(StoreError::Corrupt("proposal.detail"));
    let sealed = hex::decode(&row.detail_sealed).map_err(|_| corrupt())?;
    let plain = key.open(field(&row.id.to_string()), &sealed)?;
    Ok(Proposal {
        id: row.id,
        quote: row.quote_id,
        policyholder: row.policyholder,
        state: ProposalState::of(&row.state).ok_or_else(corrupt)?,
        claimed: row.underwriter.is_some(),
        detail: serde_json::from_slice(&plain).map_err(|_| corrupt())?,
        version: row.version,
        created: Timestamp::from_micros(row.created_at),
        updated: Timestamp::from_micros(row.updated_at),
    })
}

pub(crate) fn sealed(key: &PersonKey, id: ProposalId, detail: &Detail) -> Result<String, Error> {
    let plain = serde_json::to_vec(detail).map_err(|_| StoreError::Corrupt("proposal.detail"))?;
    Ok(hex::encode(key.seal(field(&id.to_string()), &plain)?))
}

fn field(row: &str) -> Field<'_> {
    Field { table: "proposal", column: "detail_sealed", row }
}
