//! The sum insured of a term, layer by layer, and how an endorsement raises or lowers it. Each layer has the days for whose
//! events it is good and a waiting clock of its own, so that an increase waits anew and what was there before does not.

use caremesh_kernel::{Date, DateRange};

use crate::domain::account::LayerKind;
use crate::domain::engine::CoverLayer;
use crate::domain::plan::Jurisdiction;

/// The sum insured on a day, minor units: base with increases, without bonus.
#[must_use]
pub fn sum_on(layers: &[CoverLayer], day: Date) -> i64 {
    layers.iter().filter(|layer| is_bought(layer) && layer.valid.contains(day)).map(|l| l.amount_minor).sum()
}

/// The layers after the sum insured is raised by an amount for events from a day on: one layer more, whose waiting periods
/// begin on that day.
#[must_use]
pub fn raised(layers: &[CoverLayer], by_minor: i64, from: Date, term: DateRange) -> Vec<CoverLayer> {
    let mut next = layers.to_vec();
    next.push(CoverLayer {
        kind: LayerKind::Increase,
        ordinal: next_ordinal(layers, LayerKind::Increase),
        amount_minor: by_minor,
        valid: rest(term, from),
        waiting_from: from,
    });
    next
}

/// The layers after the sum insured is lowered by an amount for events from a day on. The youngest layer gives first. What a
/// layer gives stays good for events before that day, as a layer of its own with the clock it had.
#[must_use]
pub fn lowered(layers: &[CoverLayer], by_minor: i64, from: Date) -> Vec<CoverLayer> {
    cut(layers, by_minor, from, is_bought)
}

/// The layers after a bonus is taken back for events from a day on.
#[must_use]
pub fn without_bonus(layers: &[CoverLayer], by_minor: i64, from: Date) -> Vec<CoverLayer> {
    cut(layers, by_minor, from, |layer| layer.kind == LayerKind::Bonus)
}

fn cut(
    layers: &[CoverLayer],
    by_minor: i64,
    from: Date,
    gives: impl Fn(&CoverLayer) -> bool,
) -> Vec<CoverLayer> {
    let mut next = layers.to_vec();
    let mut order: Vec<usize> =
        (0..layers.len()).filter(|n| gives(&layers[*n]) && from < layers[*n].valid.end()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(age(&layers[*n])));
    let mut left = by_minor;
    for place in order {
        let given = left.min(next[place].amount_minor);
        if given == 0 {
            continue;
        }
        left -= given;
        next[place].amount_minor -= given;
        let old = next[place].clone();
        if old.valid.start() < from {
            next.push(CoverLayer {
                ordinal: next_ordinal(&next, old.kind),
                amount_minor: given,
                valid: DateRange::of_days(old.valid.start(), old.valid.start().days_until(from)),
                ..old
            });
        }
    }
    next
}

/// The layers of the next term for a sum insured: those that were good at the end of the last one, with their clocks; what
/// the sum is more is an increase that begins its waiting periods with the term; what it is less is given by the youngest.
#[must_use]
pub fn carried(layers: &[CoverLayer], last: DateRange, sum_minor: i64, term: DateRange) -> Vec<CoverLayer> {
    let last_day = last.end().plus_days(-1);
    let mut goes_on: Vec<&CoverLayer> = layers
        .iter()
        .filter(|layer| is_bought(layer) && layer.valid.contains(last_day) && layer.amount_minor > 0)
        .collect();
    goes_on.sort_by_key(|layer| age(layer));
    let mut next: Vec<CoverLayer> = Vec::new();
    for layer in goes_on {
        let kind = if next.is_empty() { LayerKind::Base } else { LayerKind::Increase };
        match next.last_mut().filter(|known| known.waiting_from == layer.waiting_from) {
            Some(known) => known.amount_minor += layer.amount_minor,
            None => next.push(CoverLayer {
                kind,
                ordinal: next_ordinal(&next, kind),
                amount_minor: layer.amount_minor,
                valid: term,
                waiting_from: layer.waiting_from,
            }),
        }
    }
    let had = sum_on(&next, term.start());
    if sum_minor > had {
        return raised(&next, sum_minor - had, term.start(), term);
    }
    let mut kept = lowered(&next, had - sum_minor, term.start());
    kept.retain(|layer| layer.amount_minor > 0);
    kept
}

/// The day from which a claim on a layer is not contested any longer, except for fraud: months of continuous cover counted
/// from the later of the member's own clock and the layer's. None where the law knows no moratorium.
#[must_use]
pub fn moratorium_ends(law: &Jurisdiction, member_since: Date, layer_since: Date) -> Option<Date> {
    let months = i32::try_from(law.moratorium_months?).unwrap_or(i32::MAX);
    Some(member_since.max(layer_since).plus_months(months))
}

fn is_bought(layer: &CoverLayer) -> bool {
    matches!(layer.kind, LayerKind::Base | LayerKind::Increase)
}

/// Older layers first.
fn age(layer: &CoverLayer) -> (Date, Date, LayerKind, u16) {
    (layer.waiting_from, layer.valid.start(), layer.kind, layer.ordinal)
}

fn next_ordinal(layers: &[CoverLayer], kind: LayerKind) -> u16 {
    let last = layers.iter().filter(|layer| layer.kind == kind).map(|layer| layer.ordinal).max();
    last.map_or(0, |last| last + 1)
}

fn rest(term: DateRange, from: Date) -> DateRange {
    DateRange::of_days(from, from.days_until(term.end()).max(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn year() -> DateRange {
        DateRange::new(day("2026-01-01"), day("2027-01-01")).unwrap()
    }

    fn base(amount_minor: i64) -> Vec<CoverLayer> {
        let waiting_from = day("2024-01-01");
        vec![CoverLayer { kind: LayerKind::Base, ordinal: 0, amount_minor, valid: year(), waiting_from }]
    }

    #[test]
    fn an_increase_is_given_back_before_the_base_and_keeps_its_days() {
        let more = raised(&base(500), 500, day("2026-04-01"), year());
        let less = lowered(&more, 700, day("2026-09-01"));
        let on = |text| sum_on(&less, day(text));
        assert_eq!(
            (on("2026-03-31"), on("2026-04-01"), on("2026-08-31"), on("2026-09-01")),
            (500, 1_000, 1_000, 300)
        );
        assert_eq!(less[0].amount_minor, 300, "the base keeps what the increase could not give");
        let again = raised(&less, 200, day("2026-10-01"), year());
        assert_eq!(
            again.last().unwrap().waiting_from,
            day("2026-10-01"),
            "what comes back waits anew (INV-P9)"
        );
    }

    #[test]
    fn clocks_go_on_in_the_next_term_and_a_larger_sum_begins_anew() {
        let more = raised(&base(500), 500, day("2026-04-01"), year());
        let next = DateRange::new(day("2027-01-01"), day("2028-01-01")).unwrap();
        let same = carried(&more, year(), 1_000, next);
        let clocks: Vec<_> = same.iter().map(|l| (l.kind, l.amount_minor, l.waiting_from)).collect();
        let base = (LayerKind::Base, 500, day("2024-01-01"));
        assert_eq!(clocks, vec![base, (LayerKind::Increase, 500, day("2026-04-01"))]);
        let larger = carried(&more, year(), 2_500, next);
        assert_eq!((larger[2].amount_minor, larger[2].waiting_from), (1_500, next.start()));
        let smaller = carried(&more, year(), 600, next);
        assert_eq!((smaller.len(), smaller[1].amount_minor), (2, 100));
    }

    proptest! {
        #[test]
        fn on_each_day_the_layers_add_up_to_the_sum_that_was_asked_for(
            changes in prop::collection::vec((1i64..60, 1i64..2_000), 0..8),
        ) {
            let (mut layers, mut on, mut sums) = (base(1_000), year().start(), vec![(year().start(), 1_000i64)]);
            for (later, sum) in changes {
                on = on.plus_days(later).min(year().end().plus_days(-1));
                let had = sum_on(&layers, on);
                layers = if sum > had {
                    raised(&layers, sum - had, on, year())
                } else {
                    lowered(&layers, had - sum, on)
                };
                sums.push((on, sum));
            }
            for n in 0..year().days() {
                let day = year().start().plus_days(n);
                let asked = sums.iter().rfind(|(from, _)| *from <= day).unwrap().1;
                prop_assert_eq!(sum_on(&layers, day), asked);
            }
            let mut keys: Vec<_> = layers.iter().map(|layer| (layer.kind, layer.ordinal)).collect();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), layers.len(), "each layer has a key of its own");
        }
    }
}
