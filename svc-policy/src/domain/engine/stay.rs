//! A stay that is priced in several terms or segments: what one portion leaves for the next, what nothing covers, and the
//! whole as one price. How lines are dealt out is `crossing.rs`.

use std::collections::BTreeMap;

use caremesh_kernel::MemberId;

use super::priced::{Breakdown, Cut, LinePrice, Part, Priced, Reason};
use super::request::{Event, Line};
use crate::domain::account::{Account, Layer, PriorDraw, Snapshot};
use crate::domain::plan::Step;

/// The snapshot of a later portion as it is once an earlier one is posted: segments of one term share its accounts, so
/// what the earlier portion takes is gone, this event has drawn on them, and its posting has moved each of them on by
/// one version.
#[must_use]
pub fn carry_over(
    earlier: &Priced,
    before: &Snapshot,
    (event, member): (&Event, MemberId),
    mut later: Snapshot,
) -> Snapshot {
    for account in &mut later.accounts {
        let id = account.id();
        let legs: Vec<_> = earlier.legs.iter().filter(|leg| leg.layer.account == id).collect();
        let grants: Vec<_> = earlier.grants.iter().filter(|grant| grant.layer.account == id).collect();
        if legs.is_empty() && grants.is_empty() {
            continue;
        }
        // Whoever touches an account first opens it with the limits of its own segment.
        let opened = before.accounts.iter().find(|opened| opened.key == account.key);
        let mut taken: Account = opened.unwrap_or(account).clone();
        for grant in grants {
            taken.layers.push(Layer::fresh(
                grant.layer,
                grant.amount,
                grant.valid,
                grant.waiting_from,
                grant.draw_order,
            ));
        }
        taken.sort_layers();
        for leg in legs {
            if let Some(layer) = taken.layers.iter_mut().find(|layer| layer.key == leg.layer) {
                layer.used += leg.amount;
            }
            later.draws.push(PriorDraw {
                account: id,
                layer_kind: leg.layer.kind,
                event: event.id,
                member,
                cause: event.cause.clone(),
            });
        }
        taken.version += 1;
        *account = taken;
    }
    later
}

/// Lines on days that nothing covers: the plan pays nothing for them.
#[must_use]
pub fn uncovered(lines: &[Line]) -> Priced {
    let lines: Vec<LinePrice> = lines.iter().map(outside_cover).collect();
    let total = sum(&lines);
    Priced { lines, total, legs: Vec::new(), grants: Vec::new(), read: Vec::new() }
}

fn outside_cover(line: &Line) -> LinePrice {
    let billed = line.billed_minor;
    let cut = Cut {
        step: Step::NonPayable,
        rule: String::new(),
        reason: Reason::OutsideCover,
        part: Part::Noncovered,
        before_minor: billed,
        after_minor: 0,
        account: None,
    };
    LinePrice {
        sequence: line.sequence,
        breakdown: Breakdown { claimed: billed, noncovered: billed, ..Breakdown::default() },
        cuts: if billed == 0 { Vec::new() } else { vec![cut] },
    }
}

/// The portions of a stay as one answer: a line that several of them price is the sum of its shares, its cuts one share
/// after the other.
#[must_use]
pub fn combine<'p>(portions: impl IntoIterator<Item = &'p Priced>) -> (Vec<LinePrice>, Breakdown) {
    let mut lines: BTreeMap<u32, LinePrice> = BTreeMap::new();
    for line in portions.into_iter().flat_map(|portion| &portion.lines) {
        let whole = lines.entry(line.sequence).or_insert_with(|| LinePrice {
            sequence: line.sequence,
            breakdown: Breakdown::default(),
            cuts: Vec::new(),
        });
        whole.breakdown += line.breakdown;
        whole.cuts.extend(line.cuts.iter().cloned());
    }
    let lines: Vec<LinePrice> = lines.into_values().collect();
    let total = sum(&lines);
    (lines, total)
}

fn sum(lines: &[LinePrice]) -> Breakdown {
    let mut total = Breakdown::default();
    lines.iter().for_each(|line| total += line.breakdown);
    total
}
