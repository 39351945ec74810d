//! Pools: group after group in the order of the expansion, layer after layer in draw order. What no layer may pay is
//! exceeded. Times and days that the expansion names are used up here, and bound the line as a pool does.

use crate::domain::account::WhenFull;
use crate::domain::engine::book::Slot;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{PoolUse, Run, Why};
use crate::domain::plan::{Expansion, Step};

use super::counts;

pub(super) fn run(run: &mut Run<'_>) {
    for index in 0..run.lines.len() {
        let Some(expansion) = run.lines[index].expansion else { continue };
        if run.lines[index].amount == 0 {
            continue;
        }
        let groups = open(run, index, expansion);
        let available = available(run, index, &groups);
        if available > 0 {
            use_counts(run, index, expansion);
        }
        draw(run, index, expansion, &groups);
    }
}

/// The accounts of each group; a group that the member is no part of is left out.
fn open(run: &mut Run<'_>, index: usize, expansion: &Expansion) -> Vec<Vec<Slot>> {
    let (line, date) = (run.lines[index].line, run.lines[index].date);
    let mut group = |codes: &Vec<String>| codes.iter().map(|code| run.book.slot(code, line, date)).collect();
    expansion.pools.iter().filter_map(&mut group).collect()
}

fn available(run: &Run<'_>, index: usize, groups: &[Vec<Slot>]) -> i64 {
    let line = &run.lines[index];
    groups.iter().map(|group| offer(run, index, group, line.amount)).max().unwrap_or(0)
}

fn use_counts(run: &mut Run<'_>, index: usize, expansion: &Expansion) {
    let (line, date) = (run.lines[index].line, run.lines[index].date);
    let slots = expansion.counts.iter().filter_map(|code| run.book.slot(code, line, date));
    let limits: Vec<(Slot, &str)> = slots.map(|slot| (slot, expansion.id.as_str())).collect();
    counts::bound(run, index, &limits, Step::Pool, Part::Exceeded);
}

/// What a group pays of an amount: as much as the fullest of its accounts; nothing if one refuses parts.
fn offer(run: &Run<'_>, index: usize, group: &[Slot], wanted: i64) -> i64 {
    let drawer = run.lines[index].drawer();
    let mut offer = wanted;
    for slot in group {
        let room = run.book.room(*slot, &drawer);
        offer = match run.book.entries[*slot].rule.when_full {
            WhenFull::Refuse if room < wanted => return 0,
            WhenFull::StopTaking => offer,
            WhenFull::Refuse | WhenFull::Cut => offer.min(room),
        };
    }
    offer
}

fn draw(run: &mut Run<'_>, index: usize, expansion: &Expansion, groups: &[Vec<Slot>]) {
    let mut left = run.lines[index].amount;
    for group in groups {
        let amount = offer(run, index, group, left);
        if amount == 0 {
            continue;
        }
        let drawer = run.lines[index].drawer();
        for slot in group {
            run.book.take(*slot, amount, &drawer, &mut Vec::new());
        }
        run.lines[index].pools.push(PoolUse { slots: group.clone(), amount });
        left -= amount;
    }
    let account = groups.last().and_then(|group| group.first()).map(|slot| run.book.entries[*slot].id);
    let why = Why { step: Step::Pool, rule: &expansion.id, reason: Reason::BenefitExhausted, account };
    run.lines[index].cut(Part::Exceeded, left, &why);
}
