//! Rule R9: parts sum to the whole, one fill is one count, a return re-prices what is kept.

use proptest::prelude::*;

use super::world::{FLOATER, World, day, line, plan};
use crate::domain::account::Leg;
use crate::domain::engine::{Cover, Event, KeptLine, Line, PriceError, part_legs, part_share, reprice_kept};
use crate::domain::plan::{EventKind, LineKind, Relation};

fn part(before: i64, so_far: i64, quantity: i64) -> [KeptLine; 1] {
    [KeptLine { sequence: 1, quantity, before, so_far }]
}

fn order(world: &mut World, billed: i64) -> (Cover, Event, Vec<Line>) {
    let cover = world.cover(world.member(Relation::Holder, None));
    let event = world.event(EventKind::PharmacyOrder, day("2026-03-10"));
    (cover, event, vec![line(1, "PHARMACY", LineKind::Pharmacy, billed)])
}

fn sum(legs: &[Leg], code: &str) -> i64 {
    legs.iter().filter(|leg| leg.account.code == code).map(|leg| leg.amount).sum()
}

#[test]
fn each_part_takes_its_rounded_share_less_what_was_taken_before() {
    // Plan share 100 over 3 packs: hu(100 × 1/3) = 33; hu(100 × 2/3) = 67, less 33 = 34; 100 less 67 = 33.
    assert_eq!([part_share(100, 0, 1, 3), part_share(100, 1, 2, 3), part_share(100, 2, 3, 3)], [33, 34, 33]);
    // 5 over 2: hu(2.5) = 3, then 2.
    assert_eq!([part_share(5, 0, 1, 2), part_share(5, 1, 2, 2)], [3, 2]);
}

#[test]
fn a_shipment_draws_base_before_restored_and_counts_once() {
    // ₹10,000 of medicines; the month allows 6,000; co-pay 20 % = 1,200; payable 4,800. Three packs: 1,600 each.
    let mut world = World::simple(FLOATER.clone(), 5_00_000_00);
    let (cover, event, lines) = order(&mut world, 10_000_00);
    let priced = world.price(&cover, &event, &lines).unwrap();
    assert_eq!(priced.total.payable, 4_800_00);
    let first = part_legs(&priced.legs, &part(0, 1, 3));
    assert_eq!((sum(&first, "SUM_INSURED"), sum(&first, "OUTPATIENT")), (1_600_00, 1_600_00));
    assert_eq!(sum(&first, "PHARMACY_MONTH"), 2_000_00);
    assert!(part_legs(&priced.legs, &part(3, 3, 3)).is_empty());
}

#[test]
fn one_fill_is_one_count_however_many_shipments() {
    let mut world = World::simple(plan("in-individual", None), 3_00_000_00);
    let cover = world.cover(world.member(Relation::Holder, None));
    let event = world.event(EventKind::Consultation, day("2026-03-10"));
    let lines = [line(1, "CONSULTATION", LineKind::Consultation, 600_00)];
    let legs = world.price(&cover, &event, &lines).unwrap().legs;
    let counts = |before, so_far| sum(&part_legs(&legs, &part(before, so_far, 2)), "CONSULTATIONS_MONTH");
    assert_eq!([counts(0, 1), counts(1, 2)], [1, 0]);
}

#[test]
fn a_return_reprices_what_is_kept_and_does_not_prorate() {
    // Naira floater: 60,000 a month, co-pay 10 %. Ordered 6 packs of 15,000 = 90,000: cut 30,000, co-pay 6,000,
    // payable 54,000. Kept 4 of 6 = 60,000: nothing is cut any more: co-pay 6,000, payable 54,000; by proportion it
    // would have been 36,000.
    let mut world = World::simple(plan("ng-family-floater", None), 3_000_000_00);
    let (cover, event, lines) = order(&mut world, 90_000_00);
    let before = world.snapshot(&cover, &event, &lines).unwrap();
    assert_eq!(world.price(&cover, &event, &lines).unwrap().total.payable, 54_000_00);
    let kept = reprice_kept(&world.plan, &cover, &event, &lines, &before, &part(0, 4, 6)).unwrap().unwrap();
    assert_eq!((kept.total.claimed, kept.total.copay, kept.total.payable), (60_000_00, 6_000_00, 54_000_00));
    // Kept 1 of 6 = 15,000: co-pay 1,500, payable 13,500.
    let kept = reprice_kept(&world.plan, &cover, &event, &lines, &before, &part(0, 1, 6)).unwrap().unwrap();
    assert_eq!((kept.total.copay, kept.total.payable), (1_500_00, 13_500_00));
}

#[test]
fn nothing_kept_is_no_price_and_more_than_ordered_is_refused() {
    let mut world = World::simple(plan("ng-family-floater", None), 3_000_000_00);
    let (cover, event, lines) = order(&mut world, 1_000);
    let before = world.snapshot(&cover, &event, &lines).unwrap();
    let reprice = |kept: i64| reprice_kept(&world.plan, &cover, &event, &lines, &before, &part(0, kept, 6));
    assert_eq!(reprice(0), Ok(None));
    assert!(matches!(reprice(7), Err(PriceError::Invalid { line: 1, field: "kept_quantity", .. })));
}

proptest! {
    #[test]
    fn parts_of_any_size_sum_to_the_legs_of_the_whole(
        billed in 0i64..9_000_000,
        sum_insured in 1i64..400_000,
        shipments in prop::collection::vec(0i64..5, 1..6),
    ) {
        let quantity: i64 = shipments.iter().sum();
        prop_assume!(quantity > 0);
        let mut world = World::simple(FLOATER.clone(), sum_insured);
        let (cover, event, lines) = order(&mut world, billed);
        let priced = world.price(&cover, &event, &lines).unwrap();
        let mut taken: Vec<Leg> = Vec::new();
        let mut so_far = 0;
        for shipped in shipments {
            taken.extend(part_legs(&priced.legs, &part(so_far, so_far + shipped, quantity)));
            so_far += shipped;
        }
        for leg in &priced.legs {
            let parts = taken.iter().filter(|part| part.account == leg.account && part.layer == leg.layer);
            prop_assert_eq!(parts.map(|part| part.amount).sum::<i64>(), leg.amount);
        }
        prop_assert!(taken.iter().all(|part| priced.legs.iter().any(|leg| leg.layer == part.layer)));
    }

    #[test]
    fn two_accounts_of_one_measure_part_alike(whole in 0i64..1_000_000, before in 0i64..50, shipped in 0i64..50) {
        let quantity = before + shipped + 1;
        let parts = part_share(whole, 0, before, quantity) + part_share(whole, before, before + shipped, quantity);
        prop_assert_eq!(parts, part_share(whole, 0, before + shipped, quantity));
    }
}
