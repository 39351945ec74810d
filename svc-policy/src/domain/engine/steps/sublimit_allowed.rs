//! Sub-limits on the allowed amount, line by line in ascending sequence; also in times and days.
//!
//! What a line is still allowed after all of its sub-limits is what each of them accumulates.

use caremesh_kernel::AccountId;

use crate::domain::account::WhenFull;
use crate::domain::engine::book::Slot;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, SubLimitUse, Why};
use crate::domain::plan::{Basis, Step, SubLimit};

use super::counts;

pub(super) fn run(run: &mut Run<'_>) {
    for index in 0..run.lines.len() {
        if run.lines[index].is_indemnity() && run.lines[index].amount > 0 {
            bound(run, index);
        }
    }
}

fn bound(run: &mut Run<'_>, index: usize) {
    let rules = applying(run, index, Basis::Allowed);
    let is_money = |run: &Run<'_>, slot: Slot| run.book.entries[slot].rule.measure.is_money();
    let (money, units): (Vec<_>, Vec<_>) = rules.into_iter().partition(|(_, slot)| is_money(run, *slot));
    for (rule, slot) in &money {
        let line = &run.lines[index];
        let kept =
            kept(line.amount, run.book.room(*slot, &line.drawer()), run.book.entries[*slot].rule.when_full);
        let why = why(Step::SublimitAllowed, rule, run.book.entries[*slot].id);
        let cut = line.amount - kept;
        run.lines[index].cut(Part::SublimitCut, cut, &why);
    }
    // Times and days after money: a line that is allowed nothing uses up none.
    let units: Vec<(Slot, &str)> = units.iter().map(|(rule, slot)| (*slot, rule.id.as_str())).collect();
    counts::bound(run, index, &units, Step::SublimitAllowed, Part::SublimitCut);
    for (_, slot) in money {
        accumulate(run, index, slot, Basis::Allowed, run.lines[index].amount);
    }
}

/// What a limit lets through of an amount.
pub(super) fn kept(amount: i64, room: i64, when_full: WhenFull) -> i64 {
    match when_full {
        WhenFull::Refuse if amount > room => 0,
        WhenFull::Refuse | WhenFull::Cut => amount.min(room),
        WhenFull::StopTaking => amount,
    }
}

pub(super) fn why(step: Step, rule: &SubLimit, account: AccountId) -> Why<'_> {
    Why { step, rule: &rule.id, reason: Reason::SublimitReached, account: Some(account) }
}

/// The sub-limits of a basis that apply to a line, with their accounts.
pub(super) fn applying<'a>(run: &mut Run<'a>, index: usize, basis: Basis) -> Vec<(&'a SubLimit, Slot)> {
    let plan = run.plan;
    if !plan.sublimits.iter().any(|rule| rule.basis == basis) {
        return Vec::new();
    }
    let (line, date) = (run.lines[index].line, run.lines[index].date);
    let circumstance = run.circumstance(line, date);
    let rules = plan.sublimits.iter().filter(|rule| rule.basis == basis && rule.when.applies(&circumstance));
    rules.filter_map(|rule| run.book.slot(&rule.account, line, date).map(|slot| (rule, slot))).collect()
}

/// Fills a sub-limit with an amount of its own basis, as far as it takes it.
pub(super) fn accumulate(run: &mut Run<'_>, index: usize, slot: Slot, basis: Basis, amount: i64) {
    let line = &run.lines[index];
    let taken = run.book.take(slot, amount, &line.drawer(), &mut Vec::new());
    run.lines[index].sublimits.push(SubLimitUse { slot, basis, amount: taken });
}
