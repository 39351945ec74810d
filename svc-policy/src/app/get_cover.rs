//! GetCover: what is left of a member's cover on a day, and which waiting periods have not passed.

use caremesh_kernel::{Date, MemberId, PlanVersionId, PolicyId, TermId};
use caremesh_mesh::CallContext;

use super::price::price_error;
use super::{App, Error};
use crate::domain::account::Account;
use crate::domain::eligibility::{self, Ineligible, Question};

/// A member's cover on a day.
#[derive(Clone, Debug)]
pub struct CoverView {
    /// The policy.
    pub policy: PolicyId,
    /// The term and plan version that hold on the day; none without cover.
    pub term: Option<(TermId, PlanVersionId)>,
    /// Every account that the member can draw on.
    pub balances: Vec<Account>,
    /// Waiting periods that have not passed.
    pub waiting: Vec<Ineligible>,
    /// The day.
    pub day: Date,
}

/// The cover.
///
/// # Errors
/// [`Error::NotFound`] for a member that the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    member: MemberId,
    day: Option<Date>,
) -> Result<CoverView, Error> {
    let scope = app.scope(context).await?;
    let found = app.cover(context, &scope, member, day).await?;
    let (plan, law) = app.plan_and_law(found.plan_version)?;
    let day = day.unwrap_or_else(|| law.zone.day_of(app.clock.now()));
    if !found.covers(day) {
        return Ok(CoverView {
            policy: found.policy,
            term: None,
            balances: Vec::new(),
            waiting: Vec::new(),
            day,
        });
    }
    let all = Question { date: day, benefits: Vec::new(), conditions: Vec::new(), accident: false };
    let needs = eligibility::accounts_asked(plan, &found.cover, &all).map_err(price_error)?;
    let snapshot = app.snapshot(context, found.segmented(), &needs, None, None).await?;
    let mut benefits: Vec<String> =
        plan.expansions.iter().flat_map(|rule| rule.when.benefits.clone()).collect();
    benefits.sort_unstable();
    benefits.dedup();
    let each = Question { benefits, ..all };
    let answer = eligibility::answer(plan, Some(&found.cover), found.in_force, &each, &snapshot);
    let waits = |reason: &Ineligible| matches!(reason, Ineligible::WaitingPeriod { .. });
    let waiting = answer.reasons.into_iter().filter(waits).collect();
    let term = Some((found.cover.term, found.plan_version));
    Ok(CoverView { policy: found.policy, term, balances: snapshot.accounts, waiting, day })
}
