//! Which accounts an event could touch, found from the rules alone: balances decide later which of them it does.

use std::collections::BTreeMap;

use caremesh_kernel::Date;

use super::opening;
use super::request::{Cover, Event, Line};
use super::run::circumstance;
use crate::domain::account::{Account, AccountKey};
use crate::domain::plan::{Circumstance, PlanVersion};

/// One account that an event could touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountNeed {
    /// The account as it would be opened: version 0.
    pub opening: Account,
    /// Whether the price also needs to know which events have drawn on it.
    pub draws: bool,
}

pub(super) fn of(plan: &PlanVersion, cover: &Cover, event: &Event, lines: &[Line]) -> Vec<AccountNeed> {
    let mut keys: BTreeMap<AccountKey, usize> = BTreeMap::new();
    for line in lines {
        let date = opening::spend_date(plan, cover, event, line);
        for index in rules_touched(plan, &circumstance(cover, event, line, date)) {
            keys.extend(key(plan, cover, event, line, date, index).map(|key| (key, index)));
        }
    }
    let mut needs: Vec<_> = keys.into_iter().map(|(key, index)| need(plan, cover, key, index)).collect();
    // Cached: an id is a hash of the whole key.
    needs.sort_by_cached_key(|need| need.opening.id());
    needs
}

fn key(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    line: &Line,
    date: Date,
    index: usize,
) -> Option<AccountKey> {
    opening::key(plan, cover, &plan.accounts[index], event, line, date)
}

fn need(plan: &PlanVersion, cover: &Cover, key: AccountKey, index: usize) -> AccountNeed {
    let rule = &plan.accounts[index];
    AccountNeed { opening: opening::open(plan, cover.ground(), rule, key), draws: rule.asks_for_draws() }
}

/// Indices of the account rules that a line could spend from.
fn rules_touched(plan: &PlanVersion, to: &Circumstance<'_>) -> Vec<usize> {
    let expansion = plan.expansions.iter().find(|rule| rule.when.applies(to));
    let pools = expansion.into_iter().flat_map(|rule| rule.pools.iter().flatten().chain(&rule.counts));
    let sublimits = plan.sublimits.iter().filter(|rule| rule.when.applies(to)).map(|rule| &rule.account);
    let deductibles =
        plan.deductibles.iter().filter(|rule| rule.when.applies(to)).flat_map(|rule| &rule.accounts);
    let copay = plan.copays.iter().find(|rule| rule.when.applies(to)).and_then(|rule| rule.account.as_ref());
    let maxima =
        plan.out_of_pocket.iter().filter(|rule| rule.when.applies(to)).flat_map(|rule| &rule.accounts);
    let codes = pools.chain(sublimits).chain(deductibles).chain(copay).chain(maxima);
    codes.filter_map(|code| plan.accounts.iter().position(|rule| rule.code == *code)).collect()
}
