//! Waiting periods: which of them a line is subject to, and whether they are served.
//!
//! Counted per member from the start of continuous cover, and per layer from the layer's own clock, whichever is
//! later: an increase waits anew, the sum insured before it does not.

use caremesh_kernel::Date;

use super::request::{CoveredMember, Event};
use crate::domain::plan::{Circumstance, Waiting, WaitingKind};

/// Whether the rule applies to a line at all, served or not.
pub(in crate::domain) fn applies(
    rule: &Waiting,
    to: &Circumstance<'_>,
    event: &Event,
    member: &CoveredMember,
) -> bool {
    if member.waiting_waived || !rule.when.applies(to) {
        return false;
    }
    match rule.kind {
        WaitingKind::Initial => !event.accident,
        WaitingKind::PreExisting => is_pre_existing(&event.conditions, &member.pre_existing),
        WaitingKind::SpecificDisease | WaitingKind::Maternity => true,
    }
}

fn is_pre_existing(conditions: &[String], declared: &[String]) -> bool {
    conditions.iter().any(|condition| declared.iter().any(|known| condition.starts_with(known.as_str())))
}

/// First day on which the period has passed, counted from a clock.
pub(in crate::domain) fn ends_on(rule: &Waiting, clock: Date) -> Date {
    match (rule.days, rule.months) {
        (Some(days), _) => clock.plus_days(i64::from(days)),
        (None, Some(months)) => clock.plus_months(i32::try_from(months).unwrap_or(i32::MAX)),
        (None, None) => clock,
    }
}

/// Whether all of the rules are served on the day for a layer with that clock.
pub(super) fn served(rules: &[&Waiting], member: &CoveredMember, layer_clock: Date, on: Date) -> bool {
    let clock = member.continuous_since.max(layer_clock);
    rules.iter().all(|rule| ends_on(rule, clock) <= on)
}
