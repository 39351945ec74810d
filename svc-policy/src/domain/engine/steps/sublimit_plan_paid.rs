//! Sub-limits on what the plan pays, line by line in ascending sequence.

use crate::domain::engine::priced::Part;
use crate::domain::engine::run::Run;
use crate::domain::plan::{Basis, Step};

use super::sublimit_allowed::{accumulate, applying, kept, why};

pub(super) fn run(run: &mut Run<'_>) {
    for index in 0..run.lines.len() {
        if !run.lines[index].is_indemnity() || run.lines[index].amount == 0 {
            continue;
        }
        let rules = applying(run, index, Basis::PlanPaid);
        for (rule, slot) in &rules {
            let line = &run.lines[index];
            let entry = &run.book.entries[*slot];
            let kept = kept(line.amount, run.book.room(*slot, &line.drawer()), entry.rule.when_full);
            let why = why(Step::SublimitPlanPaid, rule, entry.id);
            let cut = line.amount - kept;
            run.lines[index].cut(Part::SublimitCut, cut, &why);
        }
        for (_, slot) in rules {
            accumulate(run, index, slot, Basis::PlanPaid, run.lines[index].amount);
        }
    }
}
