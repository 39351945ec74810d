//! Questions of eligibility and their answers.

use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;

use super::benefit::account_balance;
use crate::app::check_eligibility::Eligibility;
use crate::app::get_cover::CoverView;
use crate::domain::eligibility::{Ineligible, Question};

/// The question.
pub(in crate::grpc) fn question(request: wire::CheckEligibilityRequest) -> Result<Question, Violation> {
    Ok(Question {
        date: shared::date("service_date", request.service_date)?,
        benefits: request.benefit_codes,
        conditions: request.conditions.into_iter().map(|coding| coding.code).collect(),
        accident: request.accident,
    })
}

/// The answer.
pub(in crate::grpc) fn eligibility(found: &Eligibility) -> wire::Eligibility {
    wire::Eligibility {
        eligible: found.answer.eligible,
        reasons: found.answer.reasons.iter().map(ineligibility).collect(),
        policy_id: found.policy.to_string(),
        term_id: found.term.map(|term| term.to_string()).unwrap_or_default(),
        balances: found.balances.iter().map(|account| account_balance(account, Some(found.day))).collect(),
    }
}

/// What is left of a cover.
pub(in crate::grpc) fn cover(member_id: String, view: &CoverView) -> wire::Cover {
    let (term_id, plan_version_id) =
        view.term.map_or((String::new(), String::new()), |(term, plan)| (term.to_string(), plan.to_string()));
    wire::Cover {
        member_id,
        policy_id: view.policy.to_string(),
        term_id,
        plan_version_id,
        balances: view.balances.iter().map(|account| account_balance(account, Some(view.day))).collect(),
        waiting: view.waiting.iter().map(ineligibility).collect(),
    }
}

fn ineligibility(reason: &Ineligible) -> wire::Ineligibility {
    use wire::IneligibilityReason as Reason;
    let of = |reason: Reason, message: &str| wire::Ineligibility {
        reason: reason.into(),
        message: message.to_owned(),
        ..wire::Ineligibility::default()
    };
    match reason {
        Ineligible::NoCover => of(Reason::NoCover, "No policy covers the member on this day."),
        Ineligible::CoverNotStarted { starts } => wire::Ineligibility {
            until: Some(starts.to_wire()),
            ..of(Reason::CoverNotStarted, "Cover has not started on this day.")
        },
        Ineligible::CoverEnded { .. } => of(Reason::CoverEnded, "Cover has ended before this day."),
        Ineligible::NotInForce => of(Reason::PolicyNotInForce, "The policy is not in force."),
        Ineligible::WaitingPeriod { benefit, rule, until } => wire::Ineligibility {
            rule_id: rule.clone(),
            benefit_code: benefit.clone(),
            until: Some(until.to_wire()),
            ..of(Reason::WaitingPeriod, "A waiting period has not passed on this day.")
        },
        Ineligible::Excluded { benefit, rule } => wire::Ineligibility {
            rule_id: rule.clone(),
            benefit_code: benefit.clone(),
            ..of(Reason::Excluded, "The plan never covers this.")
        },
        Ineligible::BenefitNotInPlan { benefit } => wire::Ineligibility {
            benefit_code: benefit.clone(),
            ..of(Reason::BenefitNotInPlan, "The plan has no such benefit.")
        },
        Ineligible::NotForMember { benefit } => wire::Ineligibility {
            benefit_code: benefit.clone(),
            ..of(Reason::BenefitNotInPlan, "The plan has this benefit, but not for this member.")
        },
        Ineligible::Exhausted { benefit, rule, .. } => wire::Ineligibility {
            rule_id: rule.clone(),
            benefit_code: benefit.clone(),
            ..of(Reason::Exhausted, "Nothing is left of this benefit.")
        },
    }
}
