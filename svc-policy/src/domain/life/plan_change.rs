//! Which plan may take another one's place in mid-term or at a renewal.

use super::change::ChangeRefusal;
use super::spending::money_accounts;
use crate::domain::eligibility::{FamilyBreach, family_breaches};
use crate::domain::plan::{PlanVersion, Relation};
use caremesh_kernel::Date;

/// Whether a policy may go on under another plan version: of the same country, currency and length of term, one sum insured
/// for the same people. Within a term (`within`) both must count the plan's money so that it can be told once.
///
/// # Errors
/// [`ChangeRefusal::OtherPlan`] with the rule.
pub fn check_plan_change(old: &PlanVersion, new: &PlanVersion, within: bool) -> Result<(), ChangeRefusal> {
    let refused = |rule| Err(ChangeRefusal::OtherPlan(rule));
    if (&old.jurisdiction, old.currency) != (&new.jurisdiction, new.currency) {
        return refused("plan.same_jurisdiction");
    }
    if old.sum_insured_scope != new.sum_insured_scope {
        return refused("plan.same_scope");
    }
    if within && old.term_months != new.term_months {
        return refused("plan.same_term");
    }
    if within && money_accounts(&[old, new]).is_none() {
        return refused("plan.same_money");
    }
    Ok(())
}

/// Whether the family fits into another plan. Who was let in stays, however old.
///
/// # Errors
/// [`ChangeRefusal::Family`].
pub fn check_family(plan: &PlanVersion, family: &[(Relation, Date)], on: Date) -> Result<(), ChangeRefusal> {
    let of_age =
        |breach: &FamilyBreach| matches!(breach, FamilyBreach::TooYoung { .. } | FamilyBreach::TooOld { .. });
    let breaches: Vec<_> =
        family_breaches(&plan.family, family, on).into_iter().filter(|breach| !of_age(breach)).collect();
    if breaches.is_empty() { Ok(()) } else { Err(ChangeRefusal::Family(breaches)) }
}
