//! Which accounts an event of a member may touch, whoever names them: the keys of a posting come from outside and are
//! held against the plan before anything is written.

use caremesh_kernel::{Date, DateRange, checked_half_up};

use crate::domain::account::{AccountKey, FAMILY_SCOPE, Grant, LayerKind, PeriodKey, PriorDraw, ScopeKind};
use crate::domain::engine::{Ground, may_restore};
use crate::domain::ledger::{Action, Event, LedgerRefusal, Posting};
use crate::domain::plan::{AccountRule, Period, PlanVersion};
use crate::domain::relimit::open_in_term;

/// The plan's rule for an account key, when the event may touch that account at all.
#[must_use]
pub fn rule_for<'p>(
    plan: &'p PlanVersion,
    ground: Ground<'_>,
    event: &Event,
    key: &AccountKey,
) -> Option<&'p AccountRule> {
    let rule = plan.account(&key.code)?;
    let same = rule.measure == key.measure && rule.scope == key.scope_kind && ground.currency == key.currency;
    let owned = term_fits(ground, rule, key)
        && scope_fits(plan, ground, event, key)
        && period_fits(ground, rule, key);
    (same && owned).then_some(rule)
}

/// Lifetime and rolling accounts hang on the policy's first term, all others on the term of the event.
fn term_fits(ground: Ground<'_>, rule: &AccountRule, key: &AccountKey) -> bool {
    let lasting = matches!(rule.period, Period::Lifetime | Period::RollingMonths(_));
    key.term == if lasting { ground.first_term } else { ground.term }
}

/// The scope must be this member's or this event's: nobody draws on somebody else's account.
fn scope_fits(plan: &PlanVersion, ground: Ground<'_>, event: &Event, key: &AccountKey) -> bool {
    let (member, event) = (ground.member.to_string(), event.id.to_string());
    match key.scope_kind {
        ScopeKind::Member => key.scope_id == member,
        ScopeKind::Family => key.scope_id == FAMILY_SCOPE,
        ScopeKind::MemberGroup => {
            plan.family.group_of(ground.relation).is_some_and(|group| group.code == key.scope_id)
        }
        ScopeKind::Visit => key.scope_id == event,
        ScopeKind::Illness => begins_with(&key.scope_id, &member),
        ScopeKind::Procedure => begins_with(&key.scope_id, &event),
        // The owner of the claim names it; it is bound to the event by the owner's own rules.
        ScopeKind::Claim => true,
    }
}

fn begins_with(scope_id: &str, prefix: &str) -> bool {
    scope_id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':'))
}

/// The period must be one that a day of the term can have.
fn period_fits(ground: Ground<'_>, rule: &AccountRule, key: &AccountKey) -> bool {
    let term = ground.term_range;
    let text = key.period.as_str();
    match rule.period {
        Period::Day => text.parse::<Date>().is_ok_and(|day| term.contains(day)),
        Period::Month => {
            let first = format!("{text}-01").parse::<Date>();
            first.is_ok_and(|first| PeriodKey::month(first) == key.period && month_meets(ground, first))
        }
        Period::PolicyYear => {
            text.strip_prefix('Y').is_some_and(|year| year.parse::<u32>().is_ok_and(|year| year > 0))
        }
        Period::Term => key.period == PeriodKey::term(),
        Period::Lifetime => key.period == PeriodKey::lifetime(),
        Period::RollingMonths(months) => text.starts_with(&format!("R:{months}M:")),
    }
}

fn month_meets(ground: Ground<'_>, first: Date) -> bool {
    first < ground.term_range.end() && first.first_of_next_month() > ground.term_range.start()
}

/// A posting whose grants carry what the plan says of them: days, waiting clock and place in the draw order. The caller
/// names account, layer, rule and amount; days that are empty and a waiting clock at [`Date::MAX`] mean "as the plan says".
///
/// # Errors
/// [`LedgerRefusal::GrantUnknown`] for a restoration that is not the rule's, or that the rule denies this event.
pub fn complete_grants(
    (segments, plan): (&[(DateRange, &PlanVersion)], &PlanVersion),
    ground: Ground<'_>,
    draws: &[PriorDraw],
    mut posting: Posting,
) -> Result<Posting, LedgerRefusal> {
    let event = posting.event.clone();
    for movement in &mut posting.movements {
        match &mut movement.action {
            Action::Restore { grants } => {
                let mut granted = grants.iter_mut();
                granted.try_for_each(|grant| restoration((segments, plan), ground, draws, &event, grant))?;
            }
            Action::Grant { grants, .. } => grants.iter_mut().for_each(|grant| place(plan, ground, grant)),
            Action::Hold { .. }
            | Action::Capture { .. }
            | Action::Release { .. }
            | Action::Reverse { .. } => {}
        }
    }
    Ok(posting)
}

/// A restoration must be the plan's own: its rule, as often as the rule says, by the rule's share of what was bought, and
/// for an event that may be given it: who drew on the account before decides that here as it does in a price.
fn restoration(
    (segments, plan): (&[(DateRange, &PlanVersion)], &PlanVersion),
    ground: Ground<'_>,
    draws: &[PriorDraw],
    event: &Event,
    grant: &mut Grant,
) -> Result<(), LedgerRefusal> {
    let unknown = LedgerRefusal::GrantUnknown { account: grant.account.id() };
    let rule = plan.account(&grant.account.code).and_then(|rule| rule.restoration.as_ref());
    let Some(rule) = rule.filter(|rule| rule.id == grant.rule && grant.layer.ordinal < rule.times) else {
        return Err(unknown);
    };
    let drawn = draws.iter().filter(|draw| draw.account == grant.account.id());
    if !may_restore(rule, drawn, event.member, event.id, event.cause.as_ref()) {
        return Err(unknown);
    }
    let Some(opening) = open_in_term(segments, ground, &grant.account) else { return Err(unknown) };
    let bought = opening.layers.iter().filter(|layer| {
        matches!(layer.key.kind, LayerKind::Base | LayerKind::Increase) && layer.valid.contains(event.date)
    });
    let bought: i64 = bought.map(|layer| layer.granted).sum();
    if checked_half_up(bought, i64::from(rule.bps), 10_000) != Some(grant.amount) {
        return Err(unknown);
    }
    place(plan, ground, grant);
    Ok(())
}

fn place(plan: &PlanVersion, ground: Ground<'_>, grant: &mut Grant) {
    grant.draw_order = plan.draw_position(grant.layer.kind);
    if grant.valid.is_empty() {
        grant.valid = ground.term_range;
    }
    if grant.waiting_from == Date::MAX {
        grant.waiting_from =
            ground.layers.iter().map(|layer| layer.waiting_from).min().unwrap_or(ground.continuous_since);
    }
}
