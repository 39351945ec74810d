//! Limits in times and days: how many a line needs, how many it gets, and what of its amount that keeps.
//!
//! All such limits of a line are met together: where one gives nothing, none is used.

use caremesh_kernel::half_up;

use crate::domain::account::{Measure, WhenFull};
use crate::domain::engine::book::Slot;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::{CountPer, Step};

use super::fixed;

/// What one account of times or days gives a line.
struct Units<'r> {
    slot: Slot,
    rule: &'r str,
    needed: i64,
    granted: i64,
}

/// Bounds a line by accounts of times or days, each with the rule that names it. What is cut goes to `part`.
pub(super) fn bound(run: &mut Run<'_>, index: usize, limits: &[(Slot, &str)], step: Step, part: Part) {
    if run.lines[index].amount == 0 {
        return;
    }
    let units = |limit: &(Slot, &'_ str)| units(run, index, limit.0);
    let asked: Vec<Units<'_>> = limits
        .iter()
        .map(|limit| (limit, units(limit)))
        .filter(|(_, (needed, _))| *needed > 0)
        .map(|((slot, rule), (needed, granted))| Units { slot: *slot, rule, needed, granted })
        .collect();
    let amount = run.lines[index].amount;
    let kept = |units: &Units<'_>| half_up(amount, units.granted, units.needed);
    let Some(tightest) = asked.iter().min_by_key(|units| kept(units)) else { return };
    cut(run, index, tightest, amount - kept(tightest), step, part);
    if tightest.granted > 0 {
        asked.iter().for_each(|units| commit(run, index, units, tightest));
    }
}

fn cut(run: &mut Run<'_>, index: usize, by: &Units<'_>, amount: i64, step: Step, part: Part) {
    let entry = &run.book.entries[by.slot];
    let times = entry.rule.measure == Measure::Count;
    let reason = if times { Reason::TimesUsedUp } else { Reason::DaysUsedUp };
    let why = Why { step, rule: by.rule, reason, account: Some(entry.id) };
    run.lines[index].cut(part, amount, &why);
}

/// Uses what the tightest limit leaves; an account of other units uses its own.
fn commit(run: &mut Run<'_>, index: usize, units: &Units<'_>, tightest: &Units<'_>) {
    let measure = |slot: Slot| run.book.entries[slot].rule.measure;
    let alike = units.needed == tightest.needed && measure(units.slot) == measure(tightest.slot);
    let wanted = if alike { units.granted.min(tightest.granted) } else { units.granted };
    let drawer = run.lines[index].drawer();
    let taken = run.book.take(units.slot, wanted, &drawer, &mut Vec::new());
    run.book.entries[units.slot].event_counted = true;
    run.lines[index].counts.push((units.slot, taken));
}

/// How many units a line needs of an account, and how many it gets.
fn units(run: &Run<'_>, index: usize, slot: Slot) -> (i64, i64) {
    let needed = needed(run, index, slot);
    let room = run.book.room(slot, &run.lines[index].drawer());
    let granted = match run.book.entries[slot].rule.when_full {
        WhenFull::Refuse if room < needed => 0,
        WhenFull::Refuse | WhenFull::Cut => needed.min(room),
        WhenFull::StopTaking => needed,
    };
    (needed, granted)
}

/// One per event however many lines and shipments; or as often, or as many days, as the line says. A line that says it is
/// no time at all (a later shipment, the later part of a stay) is none either way.
fn needed(run: &Run<'_>, index: usize, slot: Slot) -> i64 {
    let entry = &run.book.entries[slot];
    let line = run.lines[index].line;
    match (entry.rule.measure, entry.rule.count_per) {
        (Measure::Count, _) if line.count == Some(0) => 0,
        (Measure::Count, CountPer::Event) => i64::from(!entry.event_counted),
        (Measure::Count, CountPer::Line) => line.count.unwrap_or(1),
        _ => run.lines[index].fixed.map_or(line.days.unwrap_or(1), |benefit| fixed::paid_days(benefit, line)),
    }
}
