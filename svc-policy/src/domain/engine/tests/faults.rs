//! Faults that were found in another insurer core, as the tests of the arithmetic that it would fail. Those that need a
//! ledger are in the service's tests of the same name.

use super::world::{World, day, line, plan};
use crate::domain::engine::{KeptLine, Line, part_share, reprice_kept};
use crate::domain::plan::{EventKind, LineKind, Relation};

// Fault: quantity × price is truncated to a whole number.
#[test]
fn a_part_of_a_price_is_rounded_half_up_and_no_unit_is_lost() {
    // 5 over 2 is 2.5: 3, then 2. A return of one of two packs of 5 re-prices 2.5: 3.
    assert_eq!((part_share(5, 0, 1, 2), part_share(5, 1, 2, 2)), (3, 2));
    let mut world = World::simple(plan("plain", None), 1_000_000);
    let (cover, event) = (
        world.cover(world.member(Relation::Holder, None)),
        world.event(EventKind::PharmacyOrder, day("2026-03-10")),
    );
    let lines = [line(1, "PHARMACY", LineKind::Pharmacy, 5)];
    let before = world.snapshot(&cover, &event, &lines).unwrap();
    let kept = [KeptLine { sequence: 1, quantity: 2, before: 0, so_far: 1 }];
    let again = reprice_kept(&world.plan, &cover, &event, &lines, &before, &kept).unwrap().unwrap();
    assert_eq!(again.total.payable, 3);
}

const VISITS: &str = r#"
accounts = [
  { code = "POOL", name = "Pool", measure = "PLAN_PAID", scope = "FAMILY", period = "TERM", limit = "SUM_INSURED", when_full = "CUT" },
  { code = "VISITS", name = "Visits", measure = "COUNT", scope = "MEMBER", period = "TERM", limit = { AMOUNT = 1 }, when_full = "CUT" },
]
sublimits = [{ id = "VISITS", basis = "ALLOWED", account = "VISITS" }]
"#;

// Fault: `or` on numbers, so that an approved quantity of zero falls back to what was asked.
#[test]
fn a_quantity_of_zero_uses_up_no_times() {
    let mut world = World::simple(plan("plain", Some(&VISITS.parse().unwrap())), 1_000_000);
    let cover = world.cover(world.member(Relation::Holder, None));
    let visit = |count| Line { count: Some(count), ..line(1, "CONSULTATION", LineKind::Consultation, 100) };
    let event = world.event(EventKind::Consultation, day("2026-03-10"));
    let none = world.price(&cover, &event, &[visit(0)]).unwrap();
    world.post(&cover, &event, &[visit(0)], &none);
    assert_eq!(world.used("VISITS"), 0);
    let event = world.event(EventKind::Consultation, day("2026-03-11"));
    let one = world.price(&cover, &event, &[visit(1)]).unwrap();
    world.post(&cover, &event, &[visit(1)], &one);
    assert_eq!((one.total.payable, world.used("VISITS")), (100, 1));
}

const CEILINGS: &str = r#"
accounts = [
  { code = "POOL", name = "Pool", measure = "PLAN_PAID", scope = "FAMILY", period = "TERM", limit = "SUM_INSURED", when_full = "CUT" },
  { code = "ADULT", name = "Adults", measure = "ALLOWED", scope = "MEMBER", period = "TERM", limit = { AMOUNT = 500 }, when_full = "CUT" },
  { code = "CHILD", name = "Children", measure = "ALLOWED", scope = "MEMBER", period = "TERM", limit = { AMOUNT = 300 }, when_full = "CUT" },
]
sublimits = [
  { id = "ADULTS", when = { min_age = 18 }, basis = "ALLOWED", account = "ADULT" },
  { id = "CHILDREN", when = { max_age = 17 }, basis = "ALLOWED", account = "CHILD" },
]
"#;

// Fault: the test for an adult is always true, so that no child ever meets the children's ceiling.
#[test]
fn adults_meet_the_adults_ceiling_and_children_the_childrens() {
    // 1,000 each: an adult gets 500, a child 300.
    let mut world = World::simple(plan("plain", Some(&CEILINGS.parse().unwrap())), 1_000_000);
    let event = world.event(EventKind::Admission, day("2026-03-10"));
    let lines = [line(1, "HOSPITAL", LineKind::Other, 1_000)];
    let paid = |relation| {
        let cover = world.cover(world.member(relation, None));
        let priced = world.price(&cover, &event, &lines).unwrap();
        (priced.total.payable, priced.lines[0].cuts[0].rule.clone())
    };
    assert_eq!(paid(Relation::Spouse), (500, "ADULTS".to_owned()));
    assert_eq!(paid(Relation::Child), (300, "CHILDREN".to_owned()));
}
