//! Which account a spend belongs to, and with which layers that account opens on first touch.
//!
//! The limit of an account is resolved here, once: to minor units, half-up. Layers of a percentage are the differences
//! of what the growing sum insured resolves to, so that they sum to what the whole resolves to.

use caremesh_kernel::{Date, DateRange, checked_half_up};

use super::MAX_AMOUNT;
use super::request::{Cover, CoverLayer, Event, Ground, Line};
use crate::domain::account::{
    Account, AccountKey, FAMILY_SCOPE, Layer, LayerKey, LayerKind, PeriodKey, ScopeKind,
};
use crate::domain::plan::{AccountRule, CrossingRule, Limit, PercentBase, Period, PlanVersion};

/// The day that chooses term and period for a line.
pub(super) fn spend_date(plan: &PlanVersion, cover: &Cover, event: &Event, line: &Line) -> Date {
    match plan.crossing_rule {
        CrossingRule::AdmissionDate => event.date,
        CrossingRule::ServiceDate => line.date.unwrap_or(event.date),
        // The share of an earlier or later term is priced on that term's own days.
        CrossingRule::ProrataDays => event.date.max(cover.segment.start()),
    }
}

/// The key of the account of this rule that a line would touch; `None` if the member belongs to no group.
pub(super) fn key(
    plan: &PlanVersion,
    cover: &Cover,
    rule: &AccountRule,
    event: &Event,
    line: &Line,
    date: Date,
) -> Option<AccountKey> {
    let lasting = matches!(rule.period, Period::Lifetime | Period::RollingMonths(_));
    Some(AccountKey {
        term: if lasting { cover.first_term } else { cover.term },
        code: rule.code.clone(),
        measure: rule.measure,
        scope_kind: rule.scope,
        scope_id: scope_id(plan, cover, rule.scope, event, line)?,
        period: period_key(cover, rule, date),
        currency: cover.currency,
    })
}

fn scope_id(
    plan: &PlanVersion,
    cover: &Cover,
    scope: ScopeKind,
    event: &Event,
    line: &Line,
) -> Option<String> {
    let member = &cover.member;
    Some(match scope {
        ScopeKind::Member => member.id.to_string(),
        ScopeKind::Family => FAMILY_SCOPE.to_owned(),
        ScopeKind::MemberGroup => plan.family.group_of(member.relation)?.code.clone(),
        ScopeKind::Visit => event.id.to_string(),
        ScopeKind::Illness => match &event.cause {
            Some(cause) => format!("{}:{}", member.id, cause.0),
            None => format!("{}:{}", member.id, event.id),
        },
        ScopeKind::Procedure => match &line.procedure {
            Some(procedure) => format!("{}:{procedure}", event.id),
            None => format!("{}:{}", event.id, line.sequence),
        },
        ScopeKind::Claim => event.claim.clone().unwrap_or_else(|| event.id.to_string()),
    })
}

/// The period of an account that contains the day.
fn period_key(cover: &Cover, rule: &AccountRule, date: Date) -> PeriodKey {
    match rule.period {
        Period::Day => PeriodKey::day(date),
        Period::Month => PeriodKey::month(date),
        Period::PolicyYear => {
            let year = window_index(cover.term_range.start(), 12, date);
            PeriodKey::policy_year(year + 1)
        }
        Period::Term => PeriodKey::term(),
        Period::Lifetime => PeriodKey::lifetime(),
        Period::RollingMonths(months) => {
            let member_scope = rule.scope == ScopeKind::Member;
            let anchor = if member_scope { cover.member.continuous_since } else { cover.continuous_since };
            PeriodKey::rolling(months, nth_window(anchor, months, window_index(anchor, months, date)))
        }
    }
}

fn nth_window(anchor: Date, months: u32, index: u32) -> Date {
    anchor.plus_months(i32::try_from(u64::from(months) * u64::from(index)).unwrap_or(i32::MAX))
}

/// How many whole windows lie between the anchor and the day; 0 before the anchor.
fn window_index(anchor: Date, months: u32, date: Date) -> u32 {
    let months_apart = (date.year() - anchor.year()) * 12 + month(date) - month(anchor);
    let mut index = u32::try_from(months_apart).unwrap_or(0) / months.max(1);
    // The month count is one too many where the day of the month is not reached yet.
    while index > 0 && nth_window(anchor, months, index) > date {
        index -= 1;
    }
    index
}

fn month(date: Date) -> i32 {
    i32::try_from(date.month()).unwrap_or(0)
}

/// The account as it is before anything was posted to it: version 0, its limit resolved into layers.
pub(super) fn open(plan: &PlanVersion, ground: Ground<'_>, rule: &AccountRule, key: AccountKey) -> Account {
    let id = key.id();
    let owners = if rule.scope == ScopeKind::Member { ground.member_layers } else { ground.layers };
    let layer = |kind, ordinal, granted, valid, waiting_from| {
        let key = LayerKey { account: id, kind, ordinal };
        Layer::fresh(key, granted, valid, waiting_from, plan.draw_position(kind))
    };
    let whole = |granted| {
        vec![layer(LayerKind::Base, 0, granted, lifetime_of(ground, rule), first_clock(ground, owners))]
    };
    let layers = match rule.limit {
        Limit::Amount(limit) => whole(limit),
        Limit::Unlimited => whole(MAX_AMOUNT),
        Limit::SumInsured => {
            owners.iter().map(|l| layer(l.kind, l.ordinal, l.amount_minor, l.valid, l.waiting_from)).collect()
        }
        Limit::Percent { bps, base, at_most_minor } => {
            let share = Share { bps, at_most_minor };
            percent_layers(share, base, ground, owners)
                .map(|(l, granted)| layer(l.kind, l.ordinal, granted, l.valid, l.waiting_from))
                .collect()
        }
    };
    let mut account = Account { key, version: 0, when_full: rule.when_full, layers };
    account.sort_layers();
    account
}

/// For which event dates a layer of a plain limit is valid.
fn lifetime_of(ground: Ground<'_>, rule: &AccountRule) -> DateRange {
    match rule.period {
        Period::Lifetime | Period::RollingMonths(_) => DateRange::ALWAYS,
        _ => ground.term_range,
    }
}

/// The earliest waiting clock of a sum insured; the policy's own where there is none.
pub(super) fn first_clock(ground: Ground<'_>, layers: &[CoverLayer]) -> Date {
    layers.iter().map(|layer| layer.waiting_from).min().unwrap_or(ground.continuous_since)
}

#[derive(Clone, Copy)]
struct Share {
    bps: u32,
    at_most_minor: Option<i64>,
}

impl Share {
    /// The share of a sum, half-up, at most what the plan says and never beyond what the platform can count.
    fn of(self, sum: i64) -> i64 {
        let share = checked_half_up(sum, i64::from(self.bps), 10_000).unwrap_or(MAX_AMOUNT);
        share.min(self.at_most_minor.unwrap_or(MAX_AMOUNT)).min(MAX_AMOUNT)
    }
}

fn counts_for(base: PercentBase, kind: LayerKind) -> bool {
    match base {
        PercentBase::Base | PercentBase::MemberBase => matches!(kind, LayerKind::Base | LayerKind::Increase),
        PercentBase::BasePlusBonus => {
            matches!(kind, LayerKind::Base | LayerKind::Increase | LayerKind::Bonus)
        }
        PercentBase::AllLayers => true,
    }
}

/// Each layer of the base with the part of the resolved limit that it adds.
fn percent_layers<'a>(
    share: Share,
    base: PercentBase,
    ground: Ground<'a>,
    owners: &'a [CoverLayer],
) -> impl Iterator<Item = (&'a CoverLayer, i64)> {
    let of_member = base == PercentBase::MemberBase;
    let source = if of_member { ground.member_layers } else { owners };
    let mut counted: Vec<&CoverLayer> = source.iter().filter(|layer| counts_for(base, layer.kind)).collect();
    counted.sort_by_key(|layer| (layer.kind, layer.valid.start(), layer.ordinal));
    let mut before: Vec<&CoverLayer> = Vec::new();
    counted.into_iter().filter_map(move |layer| {
        // A layer comes on top of those that are good on some day of its own: a limit lowered and raised again is not added
        // to what it was before.
        let beside = before.iter().filter(|other| other.valid.overlaps(layer.valid));
        let sum = beside.fold(0i64, |sum, other| sum.saturating_add(other.amount_minor));
        before.push(layer);
        let added = share.of(sum.saturating_add(layer.amount_minor)) - share.of(sum);
        (added > 0).then_some((layer, added))
    })
}

/// A limit that is no account (room rent per day), resolved on the layers in force on the day.
pub(super) fn resolve(limit: Limit, cover: &Cover, date: Date) -> i64 {
    match limit {
        Limit::Amount(amount) => amount,
        Limit::Unlimited => MAX_AMOUNT,
        Limit::SumInsured => resolve(
            Limit::Percent { bps: 10_000, base: PercentBase::AllLayers, at_most_minor: None },
            cover,
            date,
        ),
        Limit::Percent { bps, base, at_most_minor } => {
            let source = if base == PercentBase::MemberBase { cover.member_layers() } else { &cover.layers };
            let in_force = source.iter().filter(|l| counts_for(base, l.kind) && l.valid.contains(date));
            let sum = in_force.fold(0i64, |sum, layer| sum.saturating_add(layer.amount_minor));
            Share { bps, at_most_minor }.of(sum)
        }
    }
}
