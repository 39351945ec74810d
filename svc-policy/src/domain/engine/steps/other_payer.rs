//! What another payer has paid, before our cost share. An amount given for a line is that line's; an amount given
//! without line detail is spread in proportion to what the lines are at this step (rule R1).

use caremesh_kernel::split_largest_remainder;

use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::Step;

const WHY: Why<'static> =
    Why { step: Step::OtherPayer, rule: "", reason: Reason::PaidByOtherPayer, account: None };

pub(super) fn run(run: &mut Run<'_>) {
    for line in run.lines.iter_mut().filter(|line| line.is_indemnity()) {
        let paid = line.line.other_payer_minor.min(line.amount);
        line.cut(Part::OtherPayer, paid, &WHY);
    }
    if run.event.other_payer_minor > 0 {
        spread(run);
    }
}

fn spread(run: &mut Run<'_>) {
    let weight =
        |line: &crate::domain::engine::run::LineRun<'_>| if line.is_indemnity() { line.amount } else { 0 };
    let weights: Vec<i64> = run.lines.iter().map(weight).collect();
    let total = run.event.other_payer_minor.min(weights.iter().sum());
    if total == 0 {
        return;
    }
    for (line, part) in run.lines.iter_mut().zip(split_largest_remainder(total, &weights)) {
        line.cut(Part::OtherPayer, part, &WHY);
    }
}
