//! What the plan does not cover: capitated lines, days outside the cover, benefits it does not have, exclusions,
//! waiting periods, and items that are never payable.

use caremesh_kernel::Date;

use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::request::Cover;
use crate::domain::engine::run::{LineRun, Run, Why, circumstance};
use crate::domain::engine::waiting;
use crate::domain::plan::{PlanVersion, Step};

/// The rule under which an underwriter's exclusion cuts a line.
const UNDERWRITTEN: &str = "UNDERWRITING";

pub(super) fn run(run: &mut Run<'_>) {
    let first_clock = run.cover.first_clock_of_member();
    for line in &mut run.lines {
        let verdict = reason_against(line, run.plan, run.cover, run.event, first_clock);
        if let Some((reason, rule)) = verdict {
            let whole = line.amount;
            line.cut(Part::Noncovered, whole, &Why { step: Step::NonPayable, rule, reason, account: None });
        } else if line.is_indemnity() {
            let items = line.line.non_payable_minor.min(line.amount);
            let why = Why { step: Step::NonPayable, rule: "", reason: Reason::NonPayableItem, account: None };
            line.cut(Part::Noncovered, items, &why);
        }
    }
}

/// The first reason for which the plan pays nothing of a line, with the rule.
fn reason_against<'a>(
    line: &LineRun<'a>,
    plan: &'a PlanVersion,
    cover: &'a Cover,
    event: &'a crate::domain::engine::request::Event,
    first_clock: Date,
) -> Option<(Reason, &'a str)> {
    if line.line.capitated {
        return Some((Reason::Capitated, ""));
    }
    if line.expansion.is_none() {
        return Some((Reason::BenefitNotInPlan, ""));
    }
    if !cover.covers(line.date) {
        return Some((Reason::OutsideCover, ""));
    }
    let circumstance = circumstance(cover, event, line.line, line.date);
    if let Some(rule) = plan.exclusions.iter().find(|rule| rule.when.applies(&circumstance)) {
        return Some((Reason::Excluded, &rule.id));
    }
    if cover.member.excluded.iter().any(|one| one.applies(&event.conditions, line.date)) {
        return Some((Reason::Excluded, UNDERWRITTEN));
    }
    let unserved = |rule: &&&crate::domain::plan::Waiting| {
        !waiting::served(&[**rule], &cover.member, first_clock, line.date)
    };
    line.waits.iter().find(unserved).map(|rule| (Reason::WaitingPeriod, rule.id.as_str()))
}
