//! Sub-limits on what is left after the deductible, plan share and co-pay together.
//!
//! What exceeds the limit is cut, and the co-pay becomes that of the reduced amount. If the co-pay of the whole bill
//! stayed, a larger bill would pay less, which section 3 of the ledger rules forbids.

use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{LineRun, Run, Why};
use crate::domain::plan::{Basis, Step, SubLimit};

use super::copay;
use super::sublimit_allowed::{accumulate, applying, kept, why};

pub(super) fn run(run: &mut Run<'_>) {
    for index in 0..run.lines.len() {
        if !run.lines[index].is_indemnity() || after_deductible(&run.lines[index]) == 0 {
            continue;
        }
        let rules = applying(run, index, Basis::AfterDeductible);
        for (rule, slot) in &rules {
            let basis = after_deductible(&run.lines[index]);
            let room = run.book.room(*slot, &run.lines[index].drawer());
            let kept = kept(basis, room, run.book.entries[*slot].rule.when_full);
            let account = run.book.entries[*slot].id;
            reduce(&mut run.lines[index], rule, account, basis, kept);
        }
        for (_, slot) in rules {
            accumulate(run, index, slot, Basis::AfterDeductible, after_deductible(&run.lines[index]));
        }
    }
}

fn after_deductible(line: &LineRun<'_>) -> i64 {
    line.amount + line.parts.copay
}

fn reduce(
    line: &mut LineRun<'_>,
    rule: &SubLimit,
    account: caremesh_kernel::AccountId,
    basis: i64,
    kept: i64,
) {
    if kept >= basis {
        return;
    }
    let full_share = line.copay.map_or(0, |copay| copay::share_of(copay, kept));
    let falls_away = (line.parts.copay - full_share).max(0);
    let share =
        Why { reason: Reason::CopayOfReducedAmount, ..why(Step::SublimitAfterDeductible, rule, account) };
    line.cut(Part::Copay, -falls_away, &share);
    line.cut(Part::SublimitCut, basis - kept, &why(Step::SublimitAfterDeductible, rule, account));
}
