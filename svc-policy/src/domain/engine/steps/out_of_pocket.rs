//! Out-of-pocket maximum: deductible first, then co-pay, each line by line; what exceeds it moves to the plan.

use crate::domain::engine::book::Slot;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::{OutOfPocket, Step};

use super::deductible::{least_room, take_back};

pub(super) fn run(run: &mut Run<'_>) {
    let plan = run.plan;
    for rule in &plan.out_of_pocket {
        let lines = open(run, rule);
        for part in [Part::Deductible, Part::Copay] {
            for (index, slots) in &lines {
                bound(run, *index, slots, rule, part);
            }
        }
    }
}

/// The lines with a cost share that a rule applies to, each with the accounts that it fills.
fn open(run: &mut Run<'_>, rule: &OutOfPocket) -> Vec<(usize, Vec<Slot>)> {
    let mut lines = Vec::new();
    for index in 0..run.lines.len() {
        let (line, date) = (run.lines[index].line, run.lines[index].date);
        let parts = &run.lines[index].parts;
        if parts.deductible + parts.copay == 0 || !rule.when.applies(&run.circumstance(line, date)) {
            continue;
        }
        let slots: Vec<Slot> =
            rule.accounts.iter().filter_map(|code| run.book.slot(code, line, date)).collect();
        run.lines[index].out_of_pocket.extend(&slots);
        lines.push((index, slots));
    }
    lines.retain(|(_, slots)| !slots.is_empty());
    lines
}

fn bound(run: &mut Run<'_>, index: usize, slots: &[Slot], rule: &OutOfPocket, part: Part) {
    let share = *run.lines[index].parts.part_mut(part);
    let drawer = run.lines[index].drawer();
    let stays = share.min(least_room(run, slots, &drawer));
    for slot in slots {
        run.book.take(*slot, stays, &drawer, &mut Vec::new());
    }
    let moves = share - stays;
    let why = Why {
        step: Step::OutOfPocket,
        rule: &rule.id,
        reason: Reason::OutOfPocketMaximumReached,
        account: slots.first().map(|slot| run.book.entries[*slot].id),
    };
    let line = &mut run.lines[index];
    line.cut(part, -moves, &why);
    if part == Part::Deductible {
        take_back(line, moves);
    }
}
