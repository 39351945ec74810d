//! A stay over the end of a term: which term pays, by each crossing rule.

use caremesh_kernel::DateRange;
use proptest::prelude::*;

use super::world::{PLAIN, World, day, line};
use crate::domain::engine::{Event, Line, split_by_crossing};
use crate::domain::plan::{CrossingRule, EventKind, LineKind};

fn terms() -> [DateRange; 2] {
    let range = |from, to| DateRange::new(day(from), day(to)).unwrap();
    [range("2025-04-01", "2026-04-01"), range("2026-04-01", "2027-04-01")]
}

/// Admitted 30 March, discharged 3 April: two days in the first term, two in the second.
fn stay(discharge: &str) -> Event {
    let mut world = World::simple(PLAIN.clone(), 1);
    let event = world.event(EventKind::Admission, day("2026-03-30"));
    Event { discharge: Some(day(discharge)), other_payer_minor: 101, ..event }
}

fn dated(sequence: u32, date: &str, billed: i64) -> Line {
    Line { date: Some(day(date)), ..line(sequence, "HOSPITAL", LineKind::Associated, billed) }
}

#[test]
fn by_admission_date_the_first_term_takes_all() {
    let lines = [dated(1, "2026-03-30", 100), dated(2, "2026-04-02", 200)];
    let portions = split_by_crossing(CrossingRule::AdmissionDate, &stay("2026-04-03"), &lines, &terms());
    assert_eq!(portions.len(), 1);
    assert_eq!((portions[0].segment, portions[0].lines.len()), (Some(0), 2));
    assert_eq!(portions[0].event.other_payer_minor, 101);
}

#[test]
fn by_service_date_each_line_goes_to_its_term() {
    // Other payer 101 by what is billed, 100 and 200: 33.67 and 67.33 → 34 and 67.
    let lines = [dated(1, "2026-03-31", 100), dated(2, "2026-04-01", 200)];
    let portions = split_by_crossing(CrossingRule::ServiceDate, &stay("2026-04-03"), &lines, &terms());
    let found: Vec<_> =
        portions.iter().map(|p| (p.segment, p.lines[0].sequence, p.event.other_payer_minor)).collect();
    assert_eq!(found, [(Some(0), 1, 34), (Some(1), 2, 67)]);
}

#[test]
fn by_days_every_amount_is_shared_largest_remainder() {
    // Two days and two days: 101 is 51 and 50, the earlier term first.
    let lines = [dated(1, "2026-03-30", 101)];
    let portions = split_by_crossing(CrossingRule::ProrataDays, &stay("2026-04-03"), &lines, &terms());
    let billed: Vec<_> = portions.iter().map(|portion| portion.lines[0].billed_minor).collect();
    assert_eq!(billed, [51, 50]);
    // Two days and one: 67 and 34 (67.33 and 33.67).
    let portions = split_by_crossing(CrossingRule::ProrataDays, &stay("2026-04-02"), &lines, &terms());
    let billed: Vec<_> = portions.iter().map(|portion| portion.lines[0].billed_minor).collect();
    assert_eq!(billed, [67, 34]);
}

#[test]
fn a_stay_that_nothing_covers_is_in_no_segment() {
    let later = [DateRange::new(day("2027-01-01"), day("2028-01-01")).unwrap()];
    let lines = [dated(1, "2026-03-30", 101)];
    for rule in [CrossingRule::AdmissionDate, CrossingRule::ServiceDate, CrossingRule::ProrataDays] {
        let portions = split_by_crossing(rule, &stay("2026-04-03"), &lines, &later);
        let found: Vec<_> = portions.iter().map(|p| (p.segment, p.lines[0].billed_minor)).collect();
        assert_eq!(found, [(None, 101)], "{rule:?}");
    }
}

#[test]
fn days_after_the_end_of_cover_take_their_share_with_them() {
    // Two days in the first term, none renewed: 100 is 50 covered and 50 not; the other payer's 101 is 51 and 50.
    let lines = [dated(1, "2026-03-30", 100)];
    let portions = split_by_crossing(CrossingRule::ProrataDays, &stay("2026-04-03"), &lines, &terms()[..1]);
    let found: Vec<_> =
        portions.iter().map(|p| (p.segment, p.lines[0].billed_minor, p.event.other_payer_minor)).collect();
    assert_eq!(found, [(Some(0), 50, 51), (None, 50, 50)]);
}

#[test]
fn a_portion_is_dated_on_its_first_day_in_the_segment_and_counts_once_in_all() {
    let lines = [dated(1, "2026-03-30", 100)];
    let portions = split_by_crossing(CrossingRule::ProrataDays, &stay("2026-04-03"), &lines, &terms());
    let dates: Vec<_> = portions.iter().map(|p| p.event.date).collect();
    assert_eq!(dates, [day("2026-03-30"), day("2026-04-01")]);
    let counts: Vec<_> = portions.iter().map(|p| p.lines[0].count).collect();
    assert_eq!(counts, [Some(1), Some(0)]);
}

proptest! {
    #[test]
    fn shares_by_days_sum_to_the_line(billed in 0i64..1_000_000, nights in 0i64..9, agreed in prop::option::of(0i64..1_000_000)) {
        let event = Event { discharge: Some(day("2026-03-30").plus_days(nights)), ..stay("2026-04-03") };
        let whole = Line { agreed_minor: agreed, days: Some(nights), ..dated(1, "2026-03-30", billed) };
        let portions = split_by_crossing(CrossingRule::ProrataDays, &event, std::slice::from_ref(&whole), &terms());
        let of = |amount: fn(&Line) -> i64| portions.iter().flat_map(|p| &p.lines).map(amount).sum::<i64>();
        prop_assert_eq!(of(|line| line.billed_minor), billed);
        prop_assert_eq!(of(|line| line.agreed_minor.unwrap_or(0)), agreed.unwrap_or(0));
        prop_assert_eq!(portions.iter().map(|p| p.event.other_payer_minor).sum::<i64>(), 101);
    }
}
