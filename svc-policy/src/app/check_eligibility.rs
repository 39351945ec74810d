//! CheckEligibility: whether a member is covered for benefits on a day, and every reason why not. "Not eligible" is an
//! answer; only a hold is a promise.

use caremesh_kernel::{Date, MemberId, PolicyId, TermId};
use caremesh_mesh::CallContext;

use super::price::price_error;
use super::{App, Error};
use crate::domain::account::Account;
use crate::domain::eligibility::{self, Answer, Question};

/// The answer, with what the asked benefits draw on.
#[derive(Clone, Debug)]
pub struct Eligibility {
    /// Whether, and why not.
    pub answer: Answer,
    /// The policy.
    pub policy: PolicyId,
    /// The term that the day falls in.
    pub term: Option<TermId>,
    /// What is left on the accounts that the asked benefits draw on.
    pub balances: Vec<Account>,
    /// The day that was asked for.
    pub day: Date,
}

/// The answer.
///
/// # Errors
/// [`Error::NotFound`] for a member that the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    member: MemberId,
    question: &Question,
) -> Result<Eligibility, Error> {
    let scope = app.scope(context).await?;
    let found = app.cover(context, &scope, member, Some(question.date)).await?;
    let (plan, _) = app.plan_and_law(found.plan_version)?;
    let needs = eligibility::accounts_asked(plan, &found.cover, question).map_err(price_error)?;
    let snapshot = app.snapshot(context, found.segmented(), &needs, None, None).await?;
    let answer = eligibility::answer(plan, Some(&found.cover), found.in_force, question, &snapshot);
    let term = found.cover.term_range.contains(question.date).then_some(found.cover.term);
    Ok(Eligibility { answer, policy: found.policy, term, balances: snapshot.accounts, day: question.date })
}
