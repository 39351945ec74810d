//! Laws that hold for every plan and bill: nothing is lost, nothing negative, legs follow amounts, room and bills are
//! monotone, order and replay do not matter.

use proptest::prelude::*;

use super::model::{Bill, Rules, bills, lines, rules};
use super::world::{FLOATER, PLAIN, World, cause, day, line};
use crate::domain::account::{Measure, Snapshot};
use crate::domain::engine::{Breakdown, Cover, Event, Line, Part, Priced, price};
use crate::domain::plan::{Basis, EventKind, LineKind, Relation};

fn ask(world: &mut World, bills: &[Bill], other: i64) -> (Cover, Event, Vec<Line>, Priced) {
    let cover = world.cover(world.member(Relation::Holder, None));
    let event = Event { other_payer_minor: other, ..world.event(EventKind::Outpatient, day("2026-03-10")) };
    let lines = lines(bills);
    let priced = world.price(&cover, &event, &lines).unwrap();
    (cover, event, lines, priced)
}

fn payable(rules: &Rules, bills: &[Bill], other: i64) -> i64 {
    ask(&mut rules.world(), bills, other).3.total.payable
}

fn of_measure(priced: &Priced, code: &str, measure: Measure) -> i64 {
    let legs = priced.legs.iter().filter(|leg| leg.account.code == code && leg.account.measure == measure);
    legs.map(|leg| leg.amount).sum()
}

/// The parts of a line, by folding its cuts alone.
fn folded(claimed: i64, price: &crate::domain::engine::LinePrice) -> Breakdown {
    let mut fold =
        Breakdown { claimed, payable: claimed, allowed: price.breakdown.allowed, ..Breakdown::default() };
    for cut in &price.cuts {
        assert_eq!(fold.payable, cut.before_minor, "a cut begins where the one before it ended");
        fold.payable = cut.after_minor;
        *fold.part_mut(cut.part) += cut.before_minor - cut.after_minor;
    }
    fold
}

fn any_part(part: Part) -> bool {
    matches!(
        part,
        Part::Writeoff
            | Part::Noncovered
            | Part::RoomCut
            | Part::SublimitCut
            | Part::OtherPayer
            | Part::Deductible
            | Part::Copay
            | Part::Exceeded
    )
}

/// A stay on the Indian floater: rents, charges with and without the room factor, dated and not.
fn stay() -> impl Strategy<Value = Vec<Line>> {
    let kinds = vec![
        ("ROOM", LineKind::Room),
        ("ICU", LineKind::Icu),
        ("HOSPITAL", LineKind::Associated),
        ("INPATIENT_MEDICINE", LineKind::Pharmacy),
        ("IMPLANT", LineKind::Implant),
        ("PACKAGE", LineKind::Package),
        ("UNKNOWN", LineKind::Other),
    ];
    let one = (prop::sample::select(kinds), 0i64..2_000_000, prop::option::of(0i64..4), 1i64..4);
    prop::collection::vec(one, 1..12).prop_map(|found| {
        (1u32..)
            .zip(found)
            .map(|(sequence, ((benefit, kind), billed, date, days))| Line {
                date: date.map(|offset| day("2026-03-10").plus_days(offset)),
                days: matches!(kind, LineKind::Room | LineKind::Icu).then_some(days),
                ..line(sequence, benefit, kind, billed)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn claimed_is_the_sum_of_its_parts_and_the_cuts_fold_to_payable(rules in rules(), bills in bills(), other in 0i64..3_000) {
        let priced = ask(&mut rules.world(), &bills, other).3;
        for (bill, price) in bills.iter().zip(&priced.lines) {
            prop_assert!(price.breakdown.adds_up(), "{:?}", price);
            prop_assert_eq!(folded(bill.billed, price), price.breakdown);
            prop_assert!(price.cuts.iter().all(|cut| any_part(cut.part) && cut.after_minor >= 0));
        }
    }

    #[test]
    fn a_stay_adds_up_and_never_draws_more_than_there_is(lines in stay(), sum in 1i64..8_000_000) {
        let mut world = World::simple(FLOATER.clone(), sum);
        let cover = world.cover(world.member(Relation::Parent, None));
        for _ in 0..3 {
            let event = Event { cause: Some(cause("one")), ..world.event(EventKind::Admission, day("2026-03-10")) };
            let priced = world.price(&cover, &event, &lines).unwrap();
            for price in &priced.lines {
                prop_assert!(price.breakdown.adds_up());
                let billed = lines[usize::try_from(price.sequence).unwrap() - 1].billed_minor;
                prop_assert_eq!(folded(billed, price), price.breakdown);
            }
            // Posting asserts INV-P1 on every layer.
            world.post(&cover, &event, &lines, &priced);
        }
    }

    #[test]
    fn legs_carry_what_their_measure_says(rules in rules(), bills in bills(), other in 0i64..3_000) {
        let priced = ask(&mut rules.world(), &bills, other).3;
        let total = priced.total;
        prop_assert_eq!(of_measure(&priced, "POOL", Measure::PlanPaid), total.payable);
        prop_assert_eq!(of_measure(&priced, "OOP", Measure::MemberPaid), total.deductible + total.copay);
        let deductible = of_measure(&priced, "DED", Measure::Deductible);
        let by_others = if rules.any_payer { total.other_payer.min(rules.deductible) } else { 0 };
        prop_assert_eq!(deductible, total.deductible + by_others);
        let basis = match rules.basis {
            Basis::Allowed => total.allowed,
            Basis::AfterDeductible => total.payable + total.copay + total.exceeded,
            Basis::PlanPaid => total.payable,
        };
        let measure = if rules.basis == Basis::PlanPaid { Measure::PlanPaid } else { Measure::Allowed };
        prop_assert_eq!(of_measure(&priced, "SUB", measure), basis);
        prop_assert!(priced.legs.iter().all(|leg| leg.amount > 0));
    }

    #[test]
    fn more_room_never_pays_less(rules in rules(), bills in bills(), other in 0i64..3_000, more in 1i64..5_000) {
        let before = payable(&rules, &bills, other);
        let pool = Rules { pool: rules.pool + more, ..rules.clone() };
        prop_assert!(payable(&pool, &bills, other) >= before);
        let lower = Rules { deductible: (rules.deductible - more).max(0), copay_bps: 0, ..rules.clone() };
        let lowest = Rules { deductible: 0, copay_bps: 0, ..rules.clone() };
        prop_assert!(payable(&lowest, &bills, other) >= payable(&lower, &bills, other));
        // One line: with several, a limit that is shared moves between lines that each round their own share.
        let one = &bills[..1];
        let sub_limit = Rules { sub_limit: rules.sub_limit + more, ..rules.clone() };
        prop_assert!(payable(&sub_limit, one, other) >= payable(&rules, one, other));
    }

    #[test]
    fn a_larger_bill_never_pays_less(rules in rules(), bills in bills(), more in 1i64..3_000, at in any::<prop::sample::Index>()) {
        let mut one = bills[..1].to_vec();
        let before = payable(&rules, &one, 0);
        one[0].billed += more;
        prop_assert!(payable(&rules, &one, 0) >= before, "one line");
        // Several lines, nobody else paying for one of them. Each line rounds its own co-pay (R0), so that moving a
        // shared limit from one line to another may cost a minor unit a line, and never more.
        let alone: Vec<Bill> = bills.into_iter().map(|bill| Bill { other: 0, ..bill }).collect();
        let mut larger = alone.clone();
        larger[at.index(alone.len())].billed += more;
        let lines = i64::try_from(alone.len()).unwrap();
        prop_assert!(payable(&rules, &larger, 0) + lines >= payable(&rules, &alone, 0), "several lines");
    }

    #[test]
    fn replay_gives_the_same_bytes_whatever_the_order_of_its_parts(rules in rules(), bills in bills(), other in 0i64..3_000) {
        let mut world = rules.world();
        let (cover, event, mut lines, priced) = ask(&mut world, &bills, other);
        world.post(&cover, &event, &lines, &priced);
        let snapshot = world.snapshot(&cover, &event, &lines).unwrap();
        let bytes = |snapshot: &Snapshot, lines: &[Line]| {
            serde_json::to_vec(&price(&world.plan, &cover, &event, lines, snapshot).unwrap()).unwrap()
        };
        let first = bytes(&snapshot, &lines);
        let stored: Snapshot = serde_json::from_slice(&serde_json::to_vec(&snapshot).unwrap()).unwrap();
        prop_assert_eq!(&bytes(&stored, &lines), &first);
        let mut shuffled = snapshot;
        shuffled.accounts.reverse();
        lines.reverse();
        prop_assert_eq!(&bytes(&shuffled, &lines), &first);
    }

    #[test]
    fn independent_claims_may_be_decided_in_either_order(rules in rules(), left in bills(), right in bills()) {
        // Accounts of these rules are per member: claims of two members touch none in common.
        let decide = |order: [Relation; 2]| {
            let mut world = rules.world();
            let mut results = Vec::new();
            for relation in order {
                let cover = world.cover(world.member(relation, None));
                let lines = lines(if relation == Relation::Holder { &left } else { &right });
                let event = world.event(EventKind::Outpatient, day("2026-03-10"));
                let priced = world.price(&cover, &event, &lines).unwrap();
                world.post(&cover, &event, &lines, &priced);
                results.push((relation, priced.total));
            }
            results.sort_by_key(|(relation, _)| *relation);
            results
        };
        prop_assert_eq!(decide([Relation::Holder, Relation::Spouse]), decide([Relation::Spouse, Relation::Holder]));
    }

    #[test]
    fn two_claims_on_one_pool_drain_it_to_the_same_level_in_either_order(pool in 0i64..9_000, left in 0i64..6_000, right in 0i64..6_000) {
        let drain = |first: i64, second: i64| {
            let mut world = World::simple(PLAIN.clone(), pool);
            for (relation, billed) in [(Relation::Holder, first), (Relation::Spouse, second)] {
                let cover = world.cover(world.member(relation, None));
                let lines = [line(1, "ANY", LineKind::Package, billed)];
                let event = world.event(EventKind::Outpatient, day("2026-03-10"));
                let priced = world.price(&cover, &event, &lines).unwrap();
                world.post(&cover, &event, &lines, &priced);
            }
            world.used("POOL")
        };
        prop_assert_eq!(drain(left, right), drain(right, left));
        prop_assert_eq!(drain(left, right), (left + right).min(pool));
    }
}
