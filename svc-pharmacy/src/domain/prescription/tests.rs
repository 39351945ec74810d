//! What may be handed out of a prescription, and what never.

use caremesh_kernel::{Date, DateRange, PrescriptionItemId, ProductId, Uuid};
use proptest::prelude::*;

use super::*;

const UNIT: &str = "{tablet}";

fn day(offset: i64) -> Date {
    Date::new(2026, 6, 1).unwrap().plus_days(offset)
}

fn dose(value: i64) -> Option<DailyDose> {
    Some(DailyDose { value, decimal_places: 0 })
}

fn product(n: u128) -> ProductId {
    ProductId::from_uuid(Uuid::from_u128(n))
}

/// Thirty tablets, one a day, with so many repeats, for a year.
fn prescribed(repeats: u32) -> Prescribed {
    Prescribed {
        generic: "Metformin".to_owned(),
        strength: "500 mg".to_owned(),
        form: "tablet".to_owned(),
        atc: None,
        product: None,
        quantity: 30,
        unit: UNIT.to_owned(),
        daily_dose: dose(1),
        repeats,
        valid: DateRange::new(day(0), day(365)).unwrap(),
        interval_days: None,
        substitution_allowed: true,
        instruction: String::new(),
    }
}

fn item(prescribed: Prescribed) -> Item {
    let id = PrescriptionItemId::from_uuid(Uuid::from_u128(1));
    Item { id, prescribed, stored: ItemState::Active, counters: Counters::default() }
}

fn ask(quantity: i64) -> FillAsk {
    FillAsk { quantity, unit: UNIT.to_owned(), early: None }
}

fn filled(item: &Item, quantity: i64, today: Date) -> Item {
    item.fill(&ask(quantity), today).unwrap().item
}

#[test]
fn inv_r1_three_repeats_are_four_fills() {
    let mut one = item(prescribed(3));
    for fill in 0..4 {
        one = filled(&one, 30, day(fill * 30));
    }
    assert_eq!((one.counters.fills, one.counters.total, one.stored), (4, 120, ItemState::Completed));
    assert_eq!(one.fill(&ask(1), day(121)), Err(FillRefusal::Exhausted));
}

#[test]
fn a_partial_fill_owes_the_rest_and_never_more() {
    let one = filled(&item(prescribed(1)), 10, day(0));
    assert_eq!(one.owed(), 20);
    assert_eq!(one.fill(&ask(21), day(0)), Err(FillRefusal::TooMuch { owed: 20 }));
    let rest = one.fill(&ask(20), day(1)).unwrap();
    assert!(!rest.begins, "what is owed begins no new fill and is never too soon");
    assert_eq!((rest.number, rest.item.owed()), (1, 0));
    assert_eq!(item(prescribed(0)).fill(&ask(31), day(0)), Err(FillRefusal::TooMuch { owed: 30 }));
}

#[test]
fn inv_r1_nothing_is_handed_out_after_expiry_stop_or_hold_or_before_its_days() {
    let one = item(Prescribed { valid: DateRange::new(day(5), day(10)).unwrap(), ..prescribed(0) });
    let refused = |item: &Item, today| match item.fill(&ask(30), today) {
        Err(FillRefusal::State(forbids)) => forbids.state,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&one, day(4)), "NOT_YET_VALID");
    assert!(one.fill(&ask(30), day(9)).is_ok());
    assert_eq!(refused(&one, day(10)), "EXPIRED", "the end is the first day on which it cannot be filled");
    let held = one.clone().moved(ItemState::OnHold, day(6)).unwrap();
    assert_eq!(refused(&held, day(6)), "ON_HOLD");
    let stopped = one.moved(ItemState::Stopped, day(6)).unwrap();
    assert_eq!(refused(&stopped, day(6)), "STOPPED");
}

#[test]
fn inv_r1_units_are_checked() {
    let strips = FillAsk { unit: "{strip}".to_owned(), ..ask(3) };
    assert_eq!(item(prescribed(0)).fill(&strips, day(0)), Err(FillRefusal::Unit));
}

#[test]
fn inv_r9_the_next_fill_waits_until_three_quarters_are_used() {
    let one = filled(&item(prescribed(3)), 30, day(0));
    assert_eq!(one.next_fill(), Some(day(23)), "22.5 tablets used at one a day");
    assert_eq!(one.fill(&ask(30), day(22)), Err(FillRefusal::TooSoon { next: day(23) }));
    let early = FillAsk { early: Some(IntervalOverride::Travel), ..ask(30) };
    assert!(one.fill(&early, day(1)).is_ok(), "a coded override");
    let second = filled(&one, 30, day(23));
    assert_eq!(second.next_fill(), Some(day(53)), "what was left of the first is still there");
    let fixed = item(Prescribed { interval_days: Some(28), ..prescribed(3) });
    assert_eq!(filled(&fixed, 30, day(0)).next_fill(), Some(day(28)));
    let as_needed = item(Prescribed { daily_dose: None, ..prescribed(3) });
    assert_eq!(filled(&as_needed, 30, day(0)).next_fill(), None);
}

#[test]
fn hard_case_6_a_doubled_dose_brings_the_next_fill_nearer() {
    let one = filled(&item(prescribed(3)), 30, day(0));
    let doubled = one.clone().amended(dose(2).unwrap(), "two a day", day(10)).unwrap();
    // Ten used by then, twenty left: at two a day 12.5 more are used on the seventh day from there.
    assert_eq!(doubled.next_fill(), Some(day(17)));
    assert_eq!(doubled.fill(&ask(30), day(16)), Err(FillRefusal::TooSoon { next: day(17) }));
    assert!(doubled.fill(&ask(30), day(17)).is_ok());
    let halved = one.amended(DailyDose { value: 5, decimal_places: 1 }, "half a tablet", day(10)).unwrap();
    assert_eq!(halved.next_fill(), Some(day(35)), "twenty left, 12.5 at half a tablet a day");
    let fixed = filled(&item(Prescribed { interval_days: Some(28), ..prescribed(3) }), 30, day(0));
    let doubled = fixed.amended(dose(2).unwrap(), "", day(0)).unwrap();
    assert_eq!(doubled.next_fill(), Some(day(12)), "a fixed interval belonged to the old dose");
}

#[test]
fn hard_case_5_each_item_ends_on_its_own_day() {
    let antibiotic = item(Prescribed { valid: DateRange::new(day(0), day(7)).unwrap(), ..prescribed(0) });
    let chronic = item(prescribed(11));
    assert_eq!(antibiotic.state(day(7)), ItemState::Expired);
    assert_eq!(chronic.state(day(7)), ItemState::Active);
}

#[test]
fn items_that_cannot_be_meant_are_named_by_place_field_and_rule() {
    let fault = |item: Prescribed, unit: Option<&str>| {
        let items = [prescribed(0), item];
        let fault = check_items(&items, &[None, unit.map(str::to_owned)], day(0)).unwrap_err();
        (fault.index, fault.field, fault.rule)
    };
    let other = || Prescribed { generic: "Glimepiride".to_owned(), ..prescribed(0) };
    assert_eq!(check_items(&[prescribed(0), other()], &[Some(UNIT.to_owned()), None], day(0)), Ok(()));
    assert_eq!(fault(prescribed(0), None), (1, "generic_name", "item.once"));
    assert_eq!(fault(other(), Some("mL")), (1, "daily_dose.unit_code", "item.one_unit"));
    assert_eq!(
        fault(Prescribed { generic: "500 mg".to_owned(), ..other() }, None).2,
        "item.names_a_substance"
    );
    let early = DateRange::new(day(-1), day(3)).unwrap();
    assert_eq!(fault(Prescribed { valid: early, ..other() }, None).2, "item.not_before_issue");
    let long = DateRange::new(day(0), day(367)).unwrap();
    assert_eq!(fault(Prescribed { valid: long, ..other() }, None).2, "item.at_most_a_year");
    assert_eq!(fault(Prescribed { daily_dose: dose(0), ..other() }, None).2, "item.dose_positive");
}

fn medicine(n: u128, strength: &str, price: Option<i64>) -> Medicine {
    Medicine {
        product: product(n),
        generic: "Metformin Hydrochloride".to_owned(),
        strength: strength.to_owned(),
        form: "Tablets".to_owned(),
        atc: None,
        price,
    }
}

#[test]
fn inv_r7_a_substitute_has_the_same_substance_strength_and_form() {
    let generic = prescribed(0);
    assert_eq!(
        may_replace(&generic, None, &medicine(2, "500mg", None), None, false),
        Ok(false),
        "any product will do"
    );
    let other =
        may_replace(&generic, None, &medicine(2, "50mg", None), Some(SubstitutionReason::Price), true);
    assert_eq!(other, Err(SubstitutionRefusal::OtherMedicine), "digits are never fuzzy");
    let ten = Prescribed { generic: "Rosuvastatin".to_owned(), ..prescribed(0) };
    let metformin =
        may_replace(&ten, None, &medicine(2, "500mg", None), Some(SubstitutionReason::Price), true);
    assert_eq!(metformin, Err(SubstitutionRefusal::OtherMedicine));
}

#[test]
fn hard_case_1_a_look_alike_is_another_medicine() {
    let hydroxyzine =
        Prescribed { generic: "Hydroxyzine".to_owned(), strength: "25 mg".to_owned(), ..prescribed(0) };
    for other in ["Hydralazine", "Hydroxyzin", "hydroxyurea"] {
        let given = Medicine { generic: other.to_owned(), ..medicine(2, "25mg", Some(1)) };
        let refused = may_replace(&hydroxyzine, None, &given, Some(SubstitutionReason::OutOfStock), true);
        assert_eq!(refused, Err(SubstitutionRefusal::OtherMedicine), "{other}");
    }
    let given = Medicine { generic: "hydrOXYzine Hydrochloride".to_owned(), ..medicine(2, "25mg", Some(1)) };
    assert_eq!(may_replace(&hydroxyzine, None, &given, None, false), Ok(false));
}

#[test]
fn inv_r7_a_brand_is_replaced_only_with_leave_reason_and_consent_to_pay_more() {
    let brand = medicine(1, "500 mg", Some(100));
    let of_brand = Prescribed { product: Some(product(1)), ..prescribed(0) };
    let reason = Some(SubstitutionReason::OutOfStock);
    let replace = |prescribed: &Prescribed, price, reason, consent| {
        may_replace(prescribed, Some(&brand), &medicine(2, "500mg", price), reason, consent)
    };
    assert_eq!(may_replace(&of_brand, Some(&brand), &brand, None, false), Ok(false));
    assert_eq!(replace(&of_brand, Some(90), reason, false), Ok(true));
    assert_eq!(replace(&of_brand, Some(90), None, false), Err(SubstitutionRefusal::NoReason));
    assert_eq!(replace(&of_brand, Some(101), reason, false), Err(SubstitutionRefusal::NoConsent));
    assert_eq!(
        replace(&of_brand, None, reason, false),
        Err(SubstitutionRefusal::NoConsent),
        "an unknown price"
    );
    assert_eq!(replace(&of_brand, Some(101), reason, true), Ok(true));
    let strict = Prescribed { substitution_allowed: false, ..of_brand };
    assert_eq!(replace(&strict, Some(1), reason, true), Err(SubstitutionRefusal::Forbidden));
}

/// Every legal move, written down a second time: the table of the code must be this one and no other.
#[test]
fn every_other_transition_of_an_item_is_refused() {
    use ItemState::{Active, Cancelled, Completed, Draft, Expired, OnHold, Stopped};
    let legal = [
        (Draft, Active),
        (Draft, Expired),
        (Draft, Cancelled),
        (Active, OnHold),
        (Active, Completed),
        (Active, Expired),
        (Active, Stopped),
        (Active, Cancelled),
        (OnHold, Active),
        (OnHold, Expired),
        (OnHold, Stopped),
        (OnHold, Cancelled),
    ];
    for from in ItemState::ALL {
        for to in ItemState::ALL {
            assert_eq!(from.to(to).is_ok(), legal.contains(&(from, to)), "{from:?} to {to:?}");
        }
        assert_eq!(ItemState::of_name(from.name()), Some(from));
    }
}

#[test]
fn every_other_transition_of_a_paper_is_refused() {
    use PaperState::{AwaitingDocument, Cancelled, Expired, InVerification, Rejected, Uploaded, Verified};
    let legal = [
        (AwaitingDocument, Uploaded),
        (AwaitingDocument, Expired),
        (AwaitingDocument, Cancelled),
        (Uploaded, InVerification),
        (Uploaded, Expired),
        (Uploaded, Cancelled),
        (InVerification, InVerification),
        (InVerification, Uploaded),
        (InVerification, Verified),
        (InVerification, Rejected),
        (Verified, Cancelled),
    ];
    for from in PaperState::ALL {
        for to in PaperState::ALL {
            assert_eq!(from.to(to).is_ok(), legal.contains(&(from, to)), "{from:?} to {to:?}");
        }
        assert_eq!(PaperState::of_name(from.name()), Some(from));
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Fill(i64, bool),
    Amend(i64),
    Hold,
    Resume,
    Pass(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..40_i64, any::<bool>()).prop_map(|(n, early)| Deed::Fill(n, early)),
        1 => (1..4_i64).prop_map(Deed::Amend),
        1 => Just(Deed::Hold),
        1 => Just(Deed::Resume),
        3 => (1..30_i64).prop_map(Deed::Pass),
    ]
}

proptest! {
    #[test]
    fn inv_r1_and_r9_hold_whatever_is_done_in_whatever_order(
        repeats in 0..6_u32, interval in prop::option::of(1..60_u32), deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let mut one = item(Prescribed { interval_days: interval, ..prescribed(repeats) });
        let most = i64::from(one.prescribed.fills()) * one.prescribed.quantity;
        let mut today = 0;
        for deed in deeds {
            let next = one.next_fill();
            match deed {
                Deed::Fill(quantity, early) => {
                    let early = early.then_some(IntervalOverride::Travel);
                    if let Ok(fill) = one.fill(&FillAsk { early, ..ask(quantity) }, day(today)) {
                        prop_assert!(today < 365 && one.state(day(today)) == ItemState::Active);
                        let waited = next.is_none_or(|next| day(today) >= next) || early.is_some();
                        prop_assert!(!fill.begins || waited, "begun on {} before {next:?}", day(today));
                        one = fill.item;
                    }
                }
                Deed::Amend(value) => one = one.clone().amended(dose(value).unwrap(), "", day(today)).unwrap_or(one),
                Deed::Hold => one = one.clone().moved(ItemState::OnHold, day(today)).unwrap_or(one),
                Deed::Resume => one = one.clone().moved(ItemState::Active, day(today)).unwrap_or(one),
                Deed::Pass(days) => today += days,
            }
            let counters = one.counters;
            prop_assert!(counters.total <= most && counters.in_fill <= one.prescribed.quantity);
            prop_assert!(counters.fills <= one.prescribed.fills() && one.owed() >= 0);
        }
    }
}
