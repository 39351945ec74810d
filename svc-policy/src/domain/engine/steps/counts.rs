//! Limits in times and days: how many a line needs, how many it gets, and what of its amount that keeps.

use caremesh_kernel::half_up;

use crate::domain::account::{Measure, WhenFull};
use crate::domain::engine::book::Slot;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::{CountPer, Step};

/// Bounds a line by one account of times or days, and takes from it. What is cut goes to `part`.
pub(super) fn bound(run: &mut Run<'_>, index: usize, slot: Slot, step: Step, rule: &str, part: Part) {
    let needed = needed(run, index, slot);
    let line = &run.lines[index];
    if needed == 0 || line.amount == 0 {
        return;
    }
    let room = run.book.room(slot, &line.drawer());
    let granted = granted(needed, room, run.book.entries[slot].rule.when_full);
    let kept = if granted >= needed { line.amount } else { half_up(line.amount, granted, needed) };
    let entry = &run.book.entries[slot];
    let times = entry.rule.measure == Measure::Count;
    let reason = if times { Reason::TimesUsedUp } else { Reason::DaysUsedUp };
    let why = Why { step, rule, reason, account: Some(entry.id) };
    let cut = line.amount - kept;
    run.lines[index].cut(part, cut, &why);
    commit(run, index, slot, granted.min(room));
}

fn granted(needed: i64, room: i64, when_full: WhenFull) -> i64 {
    match when_full {
        WhenFull::Refuse if room < needed => 0,
        WhenFull::Refuse | WhenFull::Cut => needed.min(room),
        WhenFull::StopTaking => needed,
    }
}

fn commit(run: &mut Run<'_>, index: usize, slot: Slot, taken: i64) {
    if taken == 0 {
        return;
    }
    let mut layers = Vec::new();
    let line = &run.lines[index];
    run.book.take(slot, taken, &line.drawer(), &mut layers);
    run.book.entries[slot].event_counted = true;
    run.lines[index].counts.push((slot, taken));
}

/// One per event however many lines and shipments; or as often, or as many days, as the line says.
fn needed(run: &Run<'_>, index: usize, slot: Slot) -> i64 {
    let entry = &run.book.entries[slot];
    let line = run.lines[index].line;
    match (entry.rule.measure, entry.rule.count_per) {
        (Measure::Count, CountPer::Event) => i64::from(!entry.event_counted),
        (Measure::Count, CountPer::Line) => line.count.unwrap_or(1),
        _ => line.days.unwrap_or(1),
    }
}
