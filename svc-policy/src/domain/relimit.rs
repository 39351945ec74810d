//! Limits after a change in mid-term: which layers an account of the term has by the plan, segment by segment, and which
//! grants bring an account that was opened before to them. Accounts belong to the term, limits to the segment.

use caremesh_kernel::{Date, DateRange};

use crate::domain::account::{Account, AccountKey, Grant, Layer, LayerKey, LayerKind};
use crate::domain::engine::{Ground, open_account};
use crate::domain::plan::PlanVersion;

/// Ordinals of layers that follow from a change of plan, apart from those of the sum insured.
const OF_PLAN: u16 = 500;

/// The account as the plan versions of the term open it: under the first of them, and raised or lowered for the days of each
/// later segment. None if none of them has it.
#[must_use]
pub fn open_in_term(
    segments: &[(DateRange, &PlanVersion)],
    ground: Ground<'_>,
    key: &AccountKey,
) -> Option<Account> {
    let mut opened: Option<Account> = None;
    for (days, plan) in segments {
        let Some(here) = open_account(plan, ground, key) else { continue };
        opened = Some(match opened {
            None => here,
            Some(before) => moved(before, &here, *days, ground.term_range),
        });
    }
    opened
}

/// The limit on the first day of a segment is what its own plan version says.
fn moved(mut account: Account, here: &Account, days: DateRange, term: DateRange) -> Account {
    let (was, will) = (limit_on(&account, days.start()), limit_on(here, days.start()));
    if will > was {
        let ordinal = next_ordinal(&account, LayerKind::Increase);
        let key = LayerKey { account: account.id(), kind: LayerKind::Increase, ordinal };
        let valid = DateRange::of_days(days.start(), days.start().days_until(term.end()).max(0));
        let draw_order = here.layers.first().map_or(0, |layer| layer.draw_order);
        account.layers.push(Layer::fresh(key, will - was, valid, days.start(), draw_order));
    } else {
        cut(&mut account, was - will, days.start());
    }
    account.sort_layers();
    account
}

fn limit_on(account: &Account, day: Date) -> i64 {
    account.layers.iter().filter(|layer| layer.valid.contains(day)).map(|layer| layer.granted).sum()
}

/// Takes a limit down for events from a day on, the youngest layer first; what was there stays good for events before it.
fn cut(account: &mut Account, by: i64, from: Date) {
    let mut order: Vec<usize> =
        (0..account.layers.len()).filter(|n| account.layers[*n].valid.contains(from)).collect();
    let age = |layer: &Layer| (layer.waiting_from, layer.valid.start(), layer.key.kind, layer.key.ordinal);
    order.sort_by_key(|n| std::cmp::Reverse(age(&account.layers[*n])));
    let mut left = by;
    for place in order {
        let old = account.layers[place].clone();
        let given = left.min(old.granted);
        if given == 0 {
            continue;
        }
        left -= given;
        account.layers[place].granted -= given;
        if old.valid.start() < from {
            let key = LayerKey { ordinal: next_ordinal(account, old.key.kind), ..old.key };
            let valid = DateRange::of_days(old.valid.start(), old.valid.start().days_until(from));
            let (waiting_from, draw_order) = (old.waiting_from, old.draw_order);
            account.layers.push(Layer::fresh(key, given, valid, waiting_from, draw_order));
        }
    }
}

fn next_ordinal(account: &Account, kind: LayerKind) -> u16 {
    let of_plan = account.layers.iter().filter(|l| l.key.kind == kind && l.key.ordinal >= OF_PLAN);
    of_plan.map(|layer| layer.key.ordinal + 1).max().unwrap_or(OF_PLAN)
}

/// The grants that bring an account from what the plan opened it with before a change to what it opens it with after: what a
/// layer gives is taken off it; what stays good for earlier events is granted beside it, less what the layer has been used or
/// holds beyond its new limit, so that the room of earlier events is what it was.
#[must_use]
pub fn regrant(before: &Account, after: &Account, stored: &Account, rule: &str) -> Vec<Grant> {
    let granted = |account: &Account, layer: &Layer| {
        account.layers.iter().find(|other| other.id == layer.id).map(|other| other.granted)
    };
    let mut grants = Vec::new();
    let mut beyond = 0;
    for layer in &after.layers {
        let change = granted(before, layer).map_or(0, |was| layer.granted - was);
        if change == 0 {
            continue;
        }
        if let Some(now) = stored.layers.iter().find(|now| now.id == layer.id) {
            let over = |granted: i64| (now.used + now.reserved - granted).max(0);
            beyond += (over(now.granted + change) - over(now.granted)).max(0);
        }
        grants.push(grant(after, layer, change, rule));
    }
    // What the plan does not open any longer is taken down to nothing.
    for layer in before.layers.iter().filter(|layer| granted(after, layer).is_none() && layer.granted > 0) {
        grants.push(grant(before, layer, -layer.granted, rule));
    }
    let fresh = after.layers.iter().filter(|layer| granted(before, layer).is_none());
    for layer in fresh {
        let less = beyond.min(layer.granted);
        beyond -= less;
        if layer.granted > less {
            grants.push(grant(after, layer, layer.granted - less, rule));
        }
    }
    grants
}

fn grant(account: &Account, layer: &Layer, amount: i64, rule: &str) -> Grant {
    Grant {
        account: account.key.clone(),
        layer: layer.key,
        amount,
        valid: layer.valid,
        waiting_from: layer.waiting_from,
        draw_order: layer.draw_order,
        rule: rule.to_owned(),
    }
}
