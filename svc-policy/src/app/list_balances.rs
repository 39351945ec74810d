//! ListBalances: the accounts of a term as the ledger has them, or had them at an instant.

use caremesh_kernel::{AccountId, Date, MemberId, PolicyId, TermId, Timestamp};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};

use super::{App, Error};
use crate::domain::account::Account;
use crate::store::{ledger, policy};

/// Which balances.
#[derive(Clone, Debug)]
pub struct Input {
    /// The policy.
    pub policy: PolicyId,
    /// Only this member's and the family's.
    pub member: Option<MemberId>,
    /// Only this term's; otherwise the term that holds today, or the latest.
    pub term: Option<TermId>,
    /// As they were known then.
    pub as_of: Option<Timestamp>,
}

/// One page, the day for which room is counted, and where the next page begins.
///
/// # Errors
/// [`Error::NotFound`] for a policy, term or member that the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    input: &Input,
    page: &Page<AccountId>,
) -> Result<(Vec<Account>, Date, Option<AccountId>), Error> {
    let scope = app.scope(context).await?;
    let (reader, kind) = (app.db.read(context), app.db.kind());
    let found = policy::find(&reader, kind, &scope, input.policy).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(found.policy.policyholder, input.policy));
    if input.member.is_some_and(|id| found.members.iter().all(|member| member.id != id)) {
        return Err(Error::NotFound);
    }
    let (_, law) = app.plan_and_law(found.quote.plan_version_id)?;
    let today = law.zone.day_of(app.clock.now());
    let term = term_of(&found, input.term, today).ok_or(Error::NotFound)?;
    let mut ids = ledger::account_ids(&reader, term, input.member, page.after, page.size + 1).await?;
    let more = ids.len() > page.size as usize;
    ids.truncate(page.size as usize);
    let accounts = match input.as_of {
        Some(instant) => ledger::snapshot::as_of(&reader, kind, &ids, None, instant).await?.accounts,
        None => ledger::accounts(&reader, kind, &ids).await?,
    };
    Ok((accounts, today, ids.last().filter(|_| more).copied()))
}

fn term_of(found: &policy::Found, wanted: Option<TermId>, today: Date) -> Option<TermId> {
    if let Some(wanted) = wanted {
        return found.terms.iter().find(|term| term.id == wanted).map(|term| term.id);
    }
    let holds = found.terms.iter().find(|term| term.starts_on <= today && today < term.ends_on);
    holds.or(found.terms.last()).map(|term| term.id)
}
