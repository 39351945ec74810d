//! Which accounts an event of a member may touch, whoever names them: the keys of a posting come from outside and are
//! held against the plan before anything is written.

use caremesh_kernel::{Date, checked_half_up};

use crate::domain::account::{AccountKey, FAMILY_SCOPE, Grant, LayerKind, PeriodKey, ScopeKind};
use crate::domain::engine::{Cover, open_account};
use crate::domain::ledger::{Action, Event, LedgerRefusal, Posting};
use crate::domain::plan::{AccountRule, Period, PlanVersion};

/// The plan's rule for an account key, when the event may touch that account at all.
#[must_use]
pub fn rule_for<'p>(
    plan: &'p PlanVersion,
    cover: &Cover,
    event: &Event,
    key: &AccountKey,
) -> Option<&'p AccountRule> {
    let rule = plan.account(&key.code)?;
    let same = rule.measure == key.measure && rule.scope == key.scope_kind && cover.currency == key.currency;
    let owned =
        term_fits(cover, rule, key) && scope_fits(plan, cover, event, key) && period_fits(cover, rule, key);
    (same && owned).then_some(rule)
}

/// Lifetime and rolling accounts hang on the policy's first term, all others on the term of the event.
fn term_fits(cover: &Cover, rule: &AccountRule, key: &AccountKey) -> bool {
    let lasting = matches!(rule.period, Period::Lifetime | Period::RollingMonths(_));
    key.term == if lasting { cover.first_term } else { cover.term }
}

/// The scope must be this member's or this event's: nobody draws on somebody else's account.
fn scope_fits(plan: &PlanVersion, cover: &Cover, event: &Event, key: &AccountKey) -> bool {
    let (member, event) = (cover.member.id.to_string(), event.id.to_string());
    match key.scope_kind {
        ScopeKind::Member => key.scope_id == member,
        ScopeKind::Family => key.scope_id == FAMILY_SCOPE,
        ScopeKind::MemberGroup => {
            plan.family.group_of(cover.member.relation).is_some_and(|group| group.code == key.scope_id)
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
fn period_fits(cover: &Cover, rule: &AccountRule, key: &AccountKey) -> bool {
    let term = cover.term_range;
    let text = key.period.as_str();
    match rule.period {
        Period::Day => text.parse::<Date>().is_ok_and(|day| term.contains(day)),
        Period::Month => {
            let first = format!("{text}-01").parse::<Date>();
            first.is_ok_and(|first| PeriodKey::month(first) == key.period && month_meets(cover, first))
        }
        Period::PolicyYear => {
            text.strip_prefix('Y').is_some_and(|year| year.parse::<u32>().is_ok_and(|year| year > 0))
        }
        Period::Term => key.period == PeriodKey::term(),
        Period::Lifetime => key.period == PeriodKey::lifetime(),
        Period::RollingMonths(months) => text.starts_with(&format!("R:{months}M:")),
    }
}

fn month_meets(cover: &Cover, first: Date) -> bool {
    first < cover.term_range.end() && first.first_of_next_month() > cover.term_range.start()
}

/// A posting whose grants carry what the plan says of them: days, waiting clock and place in the draw order. The caller
/// names account, layer, rule and amount; days that are empty and a waiting clock at [`Date::MAX`] mean "as the plan says".
///
/// # Errors
/// [`LedgerRefusal::GrantUnknown`] for a restoration that is not the rule's.
pub fn complete_grants(
    plan: &PlanVersion,
    cover: &Cover,
    mut posting: Posting,
) -> Result<Posting, LedgerRefusal> {
    for movement in &mut posting.movements {
        match &mut movement.action {
            Action::Restore { grants } => {
                grants.iter_mut().try_for_each(|grant| restoration(plan, cover, grant))?;
            }
            Action::Grant { grants, .. } => grants.iter_mut().for_each(|grant| place(plan, cover, grant)),
            Action::Hold { .. }
            | Action::Capture { .. }
            | Action::Release { .. }
            | Action::Reverse { .. } => {}
        }
    }
    Ok(posting)
}

/// A restoration must be the plan's own: its rule, as often as the rule says, by the rule's share of what was bought.
fn restoration(plan: &PlanVersion, cover: &Cover, grant: &mut Grant) -> Result<(), LedgerRefusal> {
    let unknown = LedgerRefusal::GrantUnknown { account: grant.account.id() };
    let rule = plan.account(&grant.account.code).and_then(|rule| rule.restoration.as_ref());
    let Some(rule) = rule.filter(|rule| rule.id == grant.rule && grant.layer.ordinal < rule.times) else {
        return Err(unknown);
    };
    let Some(opening) = open_account(plan, cover, &grant.account) else { return Err(unknown) };
    let bought =
        opening.layers.iter().filter(|l| matches!(l.key.kind, LayerKind::Base | LayerKind::Increase));
    let bought: i64 = bought.map(|layer| layer.granted).sum();
    if checked_half_up(bought, i64::from(rule.bps), 10_000) != Some(grant.amount) {
        return Err(unknown);
    }
    place(plan, cover, grant);
    Ok(())
}

fn place(plan: &PlanVersion, cover: &Cover, grant: &mut Grant) {
    grant.draw_order = plan.draw_position(grant.layer.kind);
    if grant.valid.is_empty() {
        grant.valid = cover.term_range;
    }
    if grant.waiting_from == Date::MAX {
        grant.waiting_from =
            cover.layers.iter().map(|layer| layer.waiting_from).min().unwrap_or(cover.continuous_since);
    }
}
