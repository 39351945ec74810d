//! From the final amounts of the lines to legs on layers (rule R3): pools draw payable, a sub-limit its own basis,
//! deductible accounts the deductible, out-of-pocket accounts deductible and co-pay. Cuts fill nothing.

use super::book::{Slot, Taken};
use super::priced::ReadVersion;
use super::run::{LineRun, Run};
use crate::domain::account::{Grant, Leg};
use crate::domain::plan::Basis;

/// The legs of all lines, and the grants that they presuppose.
pub(super) fn build(run: &mut Run<'_>) -> (Vec<Leg>, Vec<Grant>) {
    run.book.refresh();
    let mut legs = Vec::new();
    for index in 0..run.lines.len() {
        let mut taken = Vec::new();
        for (slot, amount) in amounts(&run.lines[index]) {
            run.book.take(slot, amount, &run.lines[index].drawer(), &mut taken);
        }
        legs.extend(taken.iter().map(|taken| leg(run, index, taken)));
    }
    let grants = drawn_grants(run, &legs);
    (legs, grants)
}

/// What each account gets of a line.
fn amounts(line: &LineRun<'_>) -> Vec<(Slot, i64)> {
    let mut amounts = Vec::with_capacity(8);
    pools(line, &mut amounts);
    for used in &line.sublimits {
        let amount = if used.basis == Basis::PlanPaid { used.amount.min(line.amount) } else { used.amount };
        amounts.push((used.slot, amount));
    }
    for take in &line.deductibles {
        let amount = take.by_other_payer + take.by_member;
        amounts.extend(take.slots.iter().map(|slot| (*slot, amount)));
    }
    amounts.extend(line.copay_slot.map(|slot| (slot, line.parts.copay)));
    let member_pays = line.parts.deductible + line.parts.copay;
    amounts.extend(line.out_of_pocket.iter().map(|slot| (*slot, member_pays)));
    amounts.extend(line.counts.iter().copied());
    amounts.retain(|(_, amount)| *amount > 0);
    amounts
}

/// Where the plan lets a later step lower what is paid, the last group gives way first.
fn pools(line: &LineRun<'_>, amounts: &mut Vec<(Slot, i64)>) {
    let mut left = line.amount;
    for pool in &line.pools {
        let amount = pool.amount.min(left);
        left -= amount;
        amounts.extend(pool.slots.iter().map(|slot| (*slot, amount)));
    }
}

fn leg(run: &Run<'_>, index: usize, taken: &Taken) -> Leg {
    let account = &run.book.entries[taken.slot].account;
    Leg {
        account: account.key.clone(),
        layer: account.layers[taken.layer].key,
        amount: taken.amount,
        line: run.lines[index].line.sequence,
    }
}

/// Only what a leg draws is granted.
fn drawn_grants(run: &mut Run<'_>, legs: &[Leg]) -> Vec<Grant> {
    let entries = run.book.entries.iter_mut();
    let grants = entries.filter_map(|entry| entry.grant.take());
    grants.filter(|grant| legs.iter().any(|leg| leg.layer == grant.layer)).collect()
}

/// The accounts that were read, ascending by id.
pub(super) fn read(run: &Run<'_>) -> Vec<ReadVersion> {
    let entries = run.book.entries.iter();
    let mut read: Vec<_> =
        entries.map(|e| ReadVersion { account: e.id, version: e.account.version }).collect();
    read.sort_unstable();
    read
}
