//! Deductibles: left over from line to line in ascending sequence (rule R1), satisfied as soon as one of their accounts
//! is full. Where any payer may satisfy one, other payers' money comes first.

use crate::domain::engine::book::{Drawer, Slot};
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{DeductibleTake, LineRun, Run, Why};
use crate::domain::plan::{Deductible, SatisfiedBy, Step};

pub(super) fn run(run: &mut Run<'_>) {
    let plan = run.plan;
    for rule in &plan.deductibles {
        let takes = open(run, rule);
        let mut takes: Vec<_> = takes
            .into_iter()
            .map(|(index, slots)| (index, DeductibleTake { slots, by_other_payer: 0, by_member: 0 }))
            .collect();
        if rule.satisfied_by == SatisfiedBy::AnyPayer {
            for (index, take) in &mut takes {
                let paid = run.lines[*index].parts.other_payer;
                take.by_other_payer = fill(run, *index, &take.slots, paid);
            }
        }
        for (index, mut take) in takes {
            let amount = run.lines[index].amount;
            take.by_member = fill(run, index, &take.slots, amount);
            let why = Why {
                step: Step::Deductible,
                rule: &rule.id,
                reason: Reason::Deductible,
                account: take.slots.first().map(|slot| run.book.entries[*slot].id),
            };
            run.lines[index].cut(Part::Deductible, take.by_member, &why);
            run.lines[index].deductibles.push(take);
        }
    }
}

/// The lines a rule applies to, each with the accounts that it fills.
fn open(run: &mut Run<'_>, rule: &Deductible) -> Vec<(usize, Vec<Slot>)> {
    let mut lines = Vec::new();
    for index in 0..run.lines.len() {
        let (line, date) = (run.lines[index].line, run.lines[index].date);
        let idle = run.lines[index].amount == 0 && run.lines[index].parts.other_payer == 0;
        if idle || !run.lines[index].is_indemnity() || !rule.when.applies(&run.circumstance(line, date)) {
            continue;
        }
        let slots: Vec<Slot> =
            rule.accounts.iter().filter_map(|code| run.book.slot(code, line, date)).collect();
        if !slots.is_empty() {
            lines.push((index, slots));
        }
    }
    lines
}

/// Fills all accounts with as much of an amount as the fullest of them still takes.
fn fill(run: &mut Run<'_>, index: usize, slots: &[Slot], amount: i64) -> i64 {
    let drawer = run.lines[index].drawer();
    let room = least_room(run, slots, &drawer);
    let taken = amount.min(room);
    for slot in slots {
        run.book.take(*slot, taken, &drawer, &mut Vec::new());
    }
    taken
}

/// What the fullest of some accounts still takes.
pub(super) fn least_room(run: &Run<'_>, slots: &[Slot], drawer: &Drawer<'_>) -> i64 {
    slots.iter().map(|slot| run.book.room(*slot, drawer)).min().unwrap_or(0)
}

/// Takes back part of what the member paid as deductible, the last rule first.
pub(super) fn take_back(line: &mut LineRun<'_>, amount: i64) {
    let mut left = amount;
    for take in line.deductibles.iter_mut().rev() {
        let back = take.by_member.min(left);
        take.by_member -= back;
        left -= back;
    }
}
