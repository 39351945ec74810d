//! Co-pay per line: the first rule that applies decides. Of the two shares the member's is rounded (rule R0).

use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::{Copay, Step};

pub(super) fn run(run: &mut Run<'_>) {
    let plan = run.plan;
    if plan.copays.is_empty() {
        return;
    }
    for index in 0..run.lines.len() {
        let (line, date) = (run.lines[index].line, run.lines[index].date);
        if !run.lines[index].is_indemnity() || run.lines[index].amount == 0 {
            continue;
        }
        let circumstance = run.circumstance(line, date);
        let Some(rule) = plan.copays.iter().find(|rule| rule.when.applies(&circumstance)) else { continue };
        run.lines[index].copay = Some(rule);
        charge(run, index, rule);
    }
}

fn charge<'a>(run: &mut Run<'a>, index: usize, rule: &'a Copay) {
    let (line, date) = (run.lines[index].line, run.lines[index].date);
    let slot = rule.account.as_ref().and_then(|code| run.book.slot(code, line, date));
    let state = &run.lines[index];
    let share = match slot {
        Some(slot) => run.book.take(slot, state.amount, &state.drawer(), &mut Vec::new()),
        None => share_of(rule, state.amount),
    };
    let account = slot.map(|slot| run.book.entries[slot].id);
    run.lines[index].copay_slot = slot;
    run.lines[index].cut(
        Part::Copay,
        share,
        &Why { step: Step::Copay, rule: &rule.id, reason: Reason::Copay, account },
    );
}

/// The member's share of an amount by a rule without an account; all of it at most.
pub(super) fn share_of(rule: &Copay, amount: i64) -> i64 {
    let share = match (rule.bps, rule.fixed_minor) {
        (Some(bps), _) => bps.of(amount).min(rule.at_most_minor.unwrap_or(i64::MAX)),
        (None, Some(fixed)) => fixed,
        // A visit's co-pay: what its account still takes was decided when the line was charged.
        (None, None) => i64::MAX,
    };
    share.min(amount)
}
