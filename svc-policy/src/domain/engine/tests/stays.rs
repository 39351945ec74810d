//! Stays over two terms or two segments, computed by hand: each part by its own rules and accounts, the whole as one price.

use caremesh_kernel::{DateRange, TermId, Uuid};

use super::world::{World, day, line, plan};
use crate::domain::account::Snapshot;
use crate::domain::engine::{
    Breakdown, Cover, Event, Line, Priced, ReadVersion, Reason, accounts_needed, carry_over, combine, price,
    split_by_crossing, uncovered,
};
use crate::domain::plan::{CrossingRule, EventKind, LineKind, PlanVersion, Relation};

/// A segment with the plan that holds in it.
struct Segment {
    plan: PlanVersion,
    cover: Cover,
}

fn range(from: &str, to: &str) -> DateRange {
    DateRange::new(day(from), day(to)).unwrap()
}

fn plan_with(change: &str) -> PlanVersion {
    plan("plain", Some(&change.parse().unwrap()))
}

/// The days of a segment within a term that is known by a number.
fn segment(plan: PlanVersion, sum_insured: i64, term: (u128, DateRange), days: DateRange) -> Segment {
    let world = World::simple(plan, sum_insured);
    let mut cover = world.cover(world.member(Relation::Holder, None));
    cover.term = TermId::from_uuid(Uuid::from_u128(term.0));
    (cover.term_range, cover.segment) = (term.1, days);
    cover.member.covered = range("2020-01-01", "2030-01-01");
    cover.layers.iter_mut().for_each(|layer| layer.valid = term.1);
    Segment { plan: world.plan, cover }
}

/// Admitted 30 March 2026, discharged 3 April: two nights in March, two in April.
fn stay() -> Event {
    let mut world = World::simple(plan_with(""), 1);
    let event = world.event(EventKind::Admission, day("2026-03-30"));
    Event { discharge: Some(day("2026-04-03")), ..event }
}

fn bill(sequence: u32, billed: i64, date: Option<&str>) -> Line {
    Line { date: date.map(day), ..line(sequence, "HOSPITAL", LineKind::Other, billed) }
}

/// Prices a stay as the use case does, on accounts that nothing was posted to.
fn priced(rule: CrossingRule, event: &Event, lines: &[Line], segments: &[Segment]) -> Vec<Priced> {
    let days: Vec<DateRange> = segments.iter().map(|segment| segment.cover.segment).collect();
    let mut done: Vec<(Priced, Snapshot)> = Vec::new();
    let mut rest = Vec::new();
    for portion in split_by_crossing(rule, event, lines, &days) {
        let Some(segment) = portion.segment.map(|index| &segments[index]) else {
            rest.push(uncovered(&portion.lines));
            continue;
        };
        let needs = accounts_needed(&segment.plan, &segment.cover, &portion.event, &portion.lines).unwrap();
        let fresh = Snapshot {
            plan_version: segment.plan.id(),
            accounts: needs.into_iter().map(|need| need.opening).collect(),
            draws: Vec::new(),
        };
        let who = (event, segment.cover.member.id);
        let left =
            done.iter().fold(fresh, |later, (earlier, before)| carry_over(earlier, before, who, later));
        let one = price(&segment.plan, &segment.cover, &portion.event, &portion.lines, &left).unwrap();
        done.push((one, left));
    }
    done.into_iter().map(|(one, _)| one).chain(rest).collect()
}

fn two_terms(first: PlanVersion, second: PlanVersion, sums_insured: (i64, i64)) -> [Segment; 2] {
    let (before, after) = (range("2025-04-01", "2026-04-01"), range("2026-04-01", "2027-04-01"));
    [segment(first, sums_insured.0, (1, before), before), segment(second, sums_insured.1, (2, after), after)]
}

fn one_term(first: PlanVersion, second: PlanVersion, sum_insured: i64) -> [Segment; 2] {
    let term = range("2025-10-01", "2026-10-01");
    let (before, after) = (range("2025-10-01", "2026-04-01"), range("2026-04-01", "2026-10-01"));
    [segment(first, sum_insured, (1, term), before), segment(second, sum_insured, (1, term), after)]
}

const DEDUCTIBLE: &str = r#"
accounts = [
  { code = "POOL", name = "Pool", measure = "PLAN_PAID", scope = "FAMILY", period = "TERM", limit = "SUM_INSURED", when_full = "CUT" },
  { code = "DED", name = "Deductible", measure = "DEDUCTIBLE", scope = "MEMBER", period = "TERM", limit = { AMOUNT = 1_000 }, when_full = "STOP_TAKING" },
]
deductibles = [{ id = "DED", accounts = ["DED"] }]
"#;

#[test]
fn by_days_each_term_takes_its_own_deductible() {
    // 10,001 over two and two days: 5,001 and 5,000. Each term's deductible is 1,000: 4,001 and 4,000 are payable.
    let segments = two_terms(plan_with(DEDUCTIBLE), plan_with(DEDUCTIBLE), (1_000_000, 1_000_000));
    let parts = priced(CrossingRule::ProrataDays, &stay(), &[bill(1, 10_001, None)], &segments);
    let payable: Vec<i64> = parts.iter().map(|part| part.total.payable).collect();
    assert_eq!(payable, [4_001, 4_000]);
    let (lines, total) = combine(&parts);
    let expected = Breakdown {
        claimed: 10_001,
        deductible: 2_000,
        payable: 8_001,
        allowed: 10_001,
        ..Breakdown::default()
    };
    assert_eq!((lines.len(), lines[0].breakdown, total), (1, expected, expected));
    assert!(total.adds_up());
}

#[test]
fn by_days_an_exhausted_sum_insured_stops_only_its_own_term() {
    // 8,000: 4,000 and 4,000. The first term insures 1,500: 2,500 exceeded. The second pays its 4,000.
    let segments = two_terms(plan_with(""), plan_with(""), (1_500, 1_000_000));
    let parts = priced(CrossingRule::ProrataDays, &stay(), &[bill(1, 8_000, None)], &segments);
    let found: Vec<_> = parts.iter().map(|part| (part.total.exceeded, part.total.payable)).collect();
    assert_eq!(found, [(2_500, 1_500), (0, 4_000)]);
    let terms: Vec<_> = parts.iter().map(|part| part.legs[0].account.term).collect();
    assert_ne!(terms[0], terms[1], "each part draws on the accounts of its own term");
}

#[test]
fn by_service_date_each_line_is_judged_by_the_rules_of_its_own_day() {
    // The new term takes a tenth as co-pay; the old one none. 31 March 3,000: 3,000. 1 April 2,000: 200 and 1,800.
    let copay = "crossing_rule = \"SERVICE_DATE\"\ncopays = [{ id = \"TENTH\", bps = 1_000 }]";
    let plain = plan_with("crossing_rule = \"SERVICE_DATE\"");
    let segments = two_terms(plain, plan_with(copay), (1_000_000, 1_000_000));
    let lines = [bill(1, 3_000, Some("2026-03-31")), bill(2, 2_000, Some("2026-04-01"))];
    let parts = priced(CrossingRule::ServiceDate, &stay(), &lines, &segments);
    let (lines, total) = combine(&parts);
    let found: Vec<_> = lines.iter().map(|l| (l.sequence, l.breakdown.copay, l.breakdown.payable)).collect();
    assert_eq!(found, [(1, 0, 3_000), (2, 200, 1_800)]);
    assert_eq!(total.payable, 4_800);
}

#[test]
fn by_service_date_a_line_after_the_last_term_is_not_covered() {
    let plain = || plan_with("crossing_rule = \"SERVICE_DATE\"");
    let [first, _] = two_terms(plain(), plain(), (1_000_000, 1_000_000));
    let lines = [bill(1, 3_000, Some("2026-03-31")), bill(2, 2_000, Some("2026-04-01"))];
    let parts = priced(CrossingRule::ServiceDate, &stay(), &lines, &[first]);
    let (lines, total) = combine(&parts);
    assert_eq!((total.noncovered, total.payable), (2_000, 3_000));
    assert_eq!(lines[1].cuts[0].reason, Reason::OutsideCover);
    assert!(total.adds_up());
}

#[test]
fn segments_of_one_term_share_its_accounts_and_never_promise_the_same_room_twice() {
    // The pool of 6,000 is the term's. 10,000: 5,000 and 5,000. The first segment pays 5,000 and leaves 1,000. The second
    // takes a tenth as co-pay: 4,500 left, 1,000 payable, 3,500 exceeded. Its version presupposes the first posting.
    let rupees = "currency = \"INR\"\njurisdiction = \"IN\"";
    let copay = format!("{rupees}\ncopays = [{{ id = \"TENTH\", bps = 1_000 }}]");
    let segments = one_term(plan_with(rupees), plan_with(&copay), 6_000);
    let parts = priced(CrossingRule::ProrataDays, &stay(), &[bill(1, 10_000, None)], &segments);
    let found: Vec<_> = parts.iter().map(|p| (p.total.copay, p.total.exceeded, p.total.payable)).collect();
    assert_eq!(found, [(0, 0, 5_000), (500, 3_500, 1_000)]);
    let pool = parts[0].legs[0].layer.account;
    assert_eq!(parts[0].read, [ReadVersion { account: pool, version: 0 }]);
    assert_eq!(parts[1].read, [ReadVersion { account: pool, version: 1 }]);
}

#[test]
fn a_deductible_of_the_term_is_taken_once_over_its_segments() {
    // One term, one deductible of 1,000: the first segment takes 1,000 of its 1,500, the second nothing of its 1,500.
    let segments = one_term(plan_with(DEDUCTIBLE), plan_with(DEDUCTIBLE), 1_000_000);
    let parts = priced(CrossingRule::ProrataDays, &stay(), &[bill(1, 3_000, None)], &segments);
    let found: Vec<_> = parts.iter().map(|part| (part.total.deductible, part.total.payable)).collect();
    assert_eq!(found, [(1_000, 500), (0, 1_500)]);
}

#[test]
fn the_event_that_exhausts_a_pool_in_one_segment_restores_nothing_in_the_next() {
    // 2,000 insured and restored once for others. 6,000: 3,000 and 3,000. The first segment pays 2,000; the second pays
    // nothing, because it is the same event (R7).
    let restoring = r#"
accounts = [{ code = "POOL", name = "Pool", measure = "PLAN_PAID", scope = "FAMILY", period = "TERM", limit = "SUM_INSURED", when_full = "CUT", restoration = { id = "ONCE", bps = 10_000, times = 1 } }]
"#;
    let segments = one_term(plan_with(restoring), plan_with(restoring), 2_000);
    let parts = priced(CrossingRule::ProrataDays, &stay(), &[bill(1, 6_000, None)], &segments);
    let found: Vec<_> = parts.iter().map(|part| (part.total.payable, part.grants.len())).collect();
    assert_eq!(found, [(2_000, 0), (0, 0)]);
}
