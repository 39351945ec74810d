//! Price: what the plan pays for the lines of an event, and the legs that would spend it. No side effect. The snapshot
//! that it was computed from goes out sealed, and gives the same price again for ever.

use caremesh_db::keys::Field;
use caremesh_kernel::{Currency, MemberId, PersonId, PlanVersionId, TermId, Timestamp};
use caremesh_mesh::CallContext;
use serde::{Deserialize, Serialize};

use super::cover::Found;
use super::{App, Error};
use crate::domain::account::{Account, PriorDraw, Snapshot};
use crate::domain::engine::{self, Cover, Event, Line, PriceError, Priced, ReadVersion};
use crate::store::Error as StoreError;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Whose event it is.
    pub member: MemberId,
    /// The event.
    pub event: Event,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Currency of every amount.
    pub currency: Option<Currency>,
    /// Price against this snapshot.
    pub snapshot: Option<SealedSnapshot>,
    /// Price against the balances as they were known then.
    pub as_of: Option<Timestamp>,
    /// Check request and cover only.
    pub validate_only: bool,
}

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

/// A price with the snapshot it was computed from.
#[derive(Clone, Debug)]
pub struct Price {
    /// The price.
    pub priced: Priced,
    /// What it was computed from.
    pub snapshot: SealedSnapshot,
    /// The versions to post with: of the accounts that a leg or grant touches, and of those with a row that it relied on.
    pub expected: Vec<ReadVersion>,
    /// Currency of all amounts.
    pub currency: Currency,
}

/// What a snapshot's encrypted part holds.
#[derive(Serialize, Deserialize)]
struct Facts {
    person: PersonId,
    cover: Cover,
    draws: Vec<PriorDraw>,
}

/// The price; none when only the request was to be checked.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NoCover`], [`Error::Line`], [`Error::OtherCurrency`], [`Error::Snapshot`].
pub async fn run(app: &App, context: &CallContext, input: &Input) -> Result<Option<Price>, Error> {
    let scope = app.scope(context).await?;
    let found = app.cover(context, &scope, input.member, Some(input.event.date)).await?;
    if input.currency.is_some_and(|currency| currency != found.cover.currency) {
        return Err(Error::OtherCurrency);
    }
    if let Some(sealed) = &input.snapshot {
        return priced_again(app, context, &found, input, sealed).await.map(Some);
    }
    if !found.covers(input.event.date) {
        return Err(Error::NoCover);
    }
    let (plan, _) = app.plan_and_law(found.plan_version)?;
    let needs =
        engine::accounts_needed(plan, &found.cover, &input.event, &input.lines).map_err(price_error)?;
    if input.validate_only {
        return Ok(None);
    }
    let snapshot = app.snapshot(context, found.plan_version, &needs, input.as_of).await?;
    let priced =
        engine::price(plan, &found.cover, &input.event, &input.lines, &snapshot).map_err(price_error)?;
    let sealed = seal(app, context, &found, snapshot).await?;
    Ok(Some(price(priced, sealed, found.cover.currency)))
}

fn price(priced: Priced, snapshot: SealedSnapshot, currency: Currency) -> Price {
    let touched = |read: &&ReadVersion| {
        read.version > 0
            || priced.legs.iter().any(|leg| leg.account.id() == read.account)
            || priced.grants.iter().any(|grant| grant.account.id() == read.account)
    };
    let expected = priced.read.iter().filter(touched).copied().collect();
    Price { priced, snapshot, expected, currency }
}

/// The same snapshot, the same plan version, the same pure function: the same price.
async fn priced_again(
    app: &App,
    context: &CallContext,
    found: &Found,
    input: &Input,
    sealed: &SealedSnapshot,
) -> Result<Price, Error> {
    let facts = open(app, context, found.person, sealed).await?;
    if facts.person != found.person || facts.cover.member.id != input.member {
        return Err(Error::Snapshot);
    }
    let (plan, _) = app.plan_and_law(sealed.plan_version)?;
    let snapshot =
        Snapshot { plan_version: sealed.plan_version, accounts: sealed.accounts.clone(), draws: facts.draws };
    let priced =
        engine::price(plan, &facts.cover, &input.event, &input.lines, &snapshot).map_err(price_error)?;
    Ok(price(priced, sealed.clone(), facts.cover.currency))
}

async fn seal(
    app: &App,
    context: &CallContext,
    found: &Found,
    snapshot: Snapshot,
) -> Result<SealedSnapshot, Error> {
    let facts = Facts { person: found.person, cover: found.cover.clone(), draws: snapshot.draws };
    let plain = serde_json::to_vec(&facts).map_err(|_| StoreError::Corrupt("snapshot"))?;
    let term = found.cover.term;
    let key = app.keys.key(context, found.person).await?;
    let mut sealed = SealedSnapshot {
        term,
        plan_version: snapshot.plan_version,
        accounts: snapshot.accounts,
        member_facts: key.seal(facts_field(&term.to_string()), &plain)?,
        read: app.clock.now(),
        seal: Vec::new(),
    };
    sealed.seal = mac(app, &sealed)?;
    Ok(sealed)
}

async fn open(
    app: &App,
    context: &CallContext,
    person: PersonId,
    sealed: &SealedSnapshot,
) -> Result<Facts, Error> {
    if mac(app, sealed)? != sealed.seal {
        return Err(Error::Snapshot);
    }
    let key = app.keys.key(context, person).await?;
    let plain =
        key.open(facts_field(&sealed.term.to_string()), &sealed.member_facts).map_err(|_| Error::Snapshot)?;
    serde_json::from_slice(&plain).map_err(|_| Error::Snapshot)
}

fn facts_field(row: &str) -> Field<'_> {
    Field { table: "snapshot", column: "member_facts", row }
}

fn mac(app: &App, sealed: &SealedSnapshot) -> Result<Vec<u8>, Error> {
    let parts = (
        sealed.term,
        sealed.plan_version,
        &sealed.accounts,
        hex::encode(&sealed.member_facts),
        sealed.read.as_micros(),
    );
    let text = serde_json::to_string(&parts).map_err(|_| StoreError::Corrupt("snapshot"))?;
    hex::decode(app.secrets.blind_index("snapshot", &text))
        .map_err(|_| StoreError::Corrupt("snapshot").into())
}

/// What the engine refuses, as a use case says it.
pub(crate) fn price_error(error: PriceError) -> Error {
    match error {
        PriceError::NoCover { .. } => Error::NoCover,
        PriceError::Invalid { line, field, rule } => Error::Line { line, field, rule },
        PriceError::OtherPlanVersion { .. } => Error::Snapshot,
    }
}
