//! What a check must find, and what it must say that it cannot know.

use std::collections::{BTreeMap, BTreeSet};

use caremesh_kernel::Date;
use proptest::prelude::*;

use super::*;

fn today() -> Date {
    Date::new(2026, 6, 1).unwrap()
}

fn new(generic: &str) -> Checked {
    Checked { generic: generic.to_owned(), atc: None, is_new: true }
}

fn taken(generic: &str) -> Checked {
    Checked { is_new: false, ..new(generic) }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn map(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    pairs.iter().map(|(name, values)| ((*name).to_owned(), set(values))).collect()
}

fn interaction(a: &str, b: &str, severity: Severity) -> Interaction {
    let text = |text: &str| text.to_owned();
    let (effect, management, source) = (text("bleeding"), text("avoid"), text("fixture"));
    Interaction { a: text(a), b: text(b), severity, effect, management, source }
}

fn reference() -> Reference {
    let names = [("paracetamol", "acetaminophen"), ("acetaminophen", "acetaminophen")];
    Reference {
        canonical: names.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        known: set(&["warfarin", "aspirin", "ibuprofen", "acetaminophen", "amoxicillin", "doxycycline"]),
        classes: map(&[
            ("warfarin", &["class:ANTICOAGULANTS"]),
            ("aspirin", &["class:NSAIDS"]),
            ("ibuprofen", &["class:NSAIDS"]),
        ]),
        atc: map(&[
            ("warfarin", &["B01AA03"]),
            ("aspirin", &["N02BA01"]),
            ("ibuprofen", &["M01AE01"]),
            ("amoxicillin", &["J01CA04"]),
            ("ampicillin", &["J01CA01"]),
            ("doxycycline", &["J01AA02"]),
        ]),
        interactions: vec![
            interaction("class:ANTICOAGULANTS", "class:NSAIDS", Severity::Moderate),
            interaction("drug:warfarin", "drug:aspirin", Severity::High),
        ],
        allergens: vec![Allergen {
            terms: vec!["penicillin".to_owned()],
            atc: vec!["J01C".to_owned()],
            cross_reactive_atc: vec!["J01DB".to_owned()],
            cross_severity: Severity::Moderate,
        }],
        ages: vec![AgeRule {
            atc: "J01AA".to_owned(),
            least_years: 8,
            below_years: None,
            severity: Severity::High,
            effect: "teeth".to_owned(),
            source: "fixture".to_owned(),
        }],
        has_interactions: true,
        has_allergens: true,
        has_ages: true,
    }
}

fn profile(allergens: &[&str], birth: (i32, u32, u32)) -> Profile {
    Profile {
        allergens: Some(allergens.iter().map(|name| (*name).to_owned()).collect()),
        other_medicines: Some(vec![]),
        birth: Date::new(birth.0, birth.1, birth.2).ok(),
    }
}

fn adult() -> Profile {
    profile(&[], (1980, 1, 1))
}

fn high_risk() -> HighRisk {
    HighRisk {
        atc: vec!["B01A".to_owned()],
        substances: vec!["warfarin".to_owned(), "dabigatran".to_owned()],
    }
}

fn run(profile: &Profile, medicines: &[Checked]) -> Check {
    check(profile, medicines, &reference(), &high_risk(), today())
}

#[test]
fn inv_r8_a_severe_interaction_blocks_until_it_is_overridden() {
    let found = run(&adult(), &[new("Aspirin 75mg"), taken("Warfarin Sodium")]);
    let [issue] = found.issues.as_slice() else { panic!("{found:?}") };
    let expected = (IssueKind::Interaction, Severity::High);
    assert_eq!((issue.kind, issue.severity), expected, "the most severe rule counts");
    assert!(found.is_blocked(|_| false));
    assert!(!found.is_blocked(|issue| issue.key() == "INTERACTION|aspirin|warfarin"));
    let other_way = run(&adult(), &[taken("aspirin"), new("warfarin")]);
    assert_eq!(other_way.issues[0].key(), issue.key(), "the same finding, whoever came first");
}

#[test]
fn classes_act_on_each_other_and_what_is_taken_already_is_not_held_against_itself() {
    let found = run(&adult(), &[new("ibuprofen"), taken("warfarin")]);
    assert_eq!(found.issues[0].severity, Severity::Moderate);
    assert!(!found.is_blocked(|_| false));
    assert!(run(&adult(), &[taken("aspirin"), taken("warfarin")]).issues.is_empty());
    assert!(run(&adult(), &[new("aspirin + warfarin")]).issues.is_empty(), "one product is one medicine");
}

#[test]
fn hard_case_8_what_was_bought_elsewhere_counts() {
    let elsewhere = Profile { other_medicines: Some(vec!["Warfarin".to_owned()]), ..adult() };
    assert!(run(&elsewhere, &[new("aspirin")]).is_blocked(|_| false));
}

#[test]
fn inv_r8_no_data_is_not_no_interaction() {
    let found = run(&Profile::default(), &[new("Zorbalin")]);
    let kinds: Vec<_> = found.gaps.iter().map(|gap| gap.kind).collect();
    let expected = [
        GapKind::AllergiesUnknown,
        GapKind::OtherMedicinesUnknown,
        GapKind::AgeUnknown,
        GapKind::MedicineUnknown,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(found.gaps[3].subject, "zorbalin");
    let declared = profile(&["nickel"], (1980, 1, 1));
    let found = run(&declared, &[new("paracetamol")]);
    assert_eq!(found.gaps.len(), 1, "an allergy that nothing can be compared with: {:?}", found.gaps);
}

#[test]
fn hard_case_8_without_data_a_high_risk_medicine_is_blocked_and_another_is_not() {
    let down = unavailable(&[new("Dabigatran 110mg"), new("paracetamol")], &high_risk());
    let blocking: Vec<_> = down.gaps.iter().map(|gap| (gap.subject.as_str(), gap.blocks)).collect();
    assert_eq!(blocking, [("dabigatran", true), ("paracetamol", false)]);
    assert!(down.is_blocked(|_| true), "nobody can override what nobody has looked at");
    let none = check(&adult(), &[new("warfarin")], &Reference::default(), &high_risk(), today());
    assert!(none.is_blocked(|_| true), "{none:?}");
    let harmless = check(&adult(), &[new("paracetamol")], &Reference::default(), &high_risk(), today());
    assert!(!harmless.is_blocked(|_| false));
    assert!(harmless.gaps.iter().any(|gap| gap.kind == GapKind::ReferenceMissing));
}

#[test]
fn inv_r8_an_allergy_to_a_class_blocks_every_member_of_it() {
    let allergic = profile(&["Penicillins"], (1980, 1, 1));
    let found = run(&allergic, &[new("Amoxicillin (500mg)")]);
    assert_eq!((found.issues[0].kind, found.issues[0].severity), (IssueKind::Allergy, Severity::High));
    let by_name = profile(&["ibuprofen"], (1980, 1, 1));
    assert!(run(&by_name, &[new("ibuprofen")]).is_blocked(|_| false));
    let related = Checked { atc: Some("J01DB01".to_owned()), ..new("cefalexin") };
    assert_eq!(run(&allergic, &[related]).issues[0].severity, Severity::Moderate);
}

#[test]
fn the_same_substance_under_two_names_is_found() {
    let found = run(&adult(), &[new("Paracetamol"), taken("Acetaminophen")]);
    let expected = (IssueKind::DuplicateTherapy, Severity::Moderate);
    assert_eq!((found.issues[0].kind, found.issues[0].severity), expected);
    let class = run(&adult(), &[new("amoxicillin"), taken("ampicillin")]);
    assert_eq!(
        (class.issues[0].kind, class.issues[0].severity),
        (IssueKind::DuplicateTherapy, Severity::Low)
    );
}

#[test]
fn inv_r8_a_child_of_seven_is_too_young_and_one_of_eight_is_not() {
    let seven = profile(&[], (2018, 6, 2));
    assert!(run(&seven, &[new("doxycycline")]).is_blocked(|_| false));
    let eight = profile(&[], (2018, 6, 1));
    assert!(run(&eight, &[new("doxycycline")]).issues.is_empty());
}

const TAKEN: [&str; 5] = ["aspirin", "warfarin", "amoxicillin", "ibuprofen", "paracetamol"];

proptest! {
    #[test]
    fn the_order_of_medicines_changes_no_finding(order in Just(TAKEN).prop_shuffle()) {
        let medicines: Vec<_> = order.iter().map(|name| new(name)).collect();
        let found = run(&profile(&["penicillin"], (2020, 1, 1)), &medicines);
        let keys: BTreeSet<_> = found.issues.iter().map(Issue::key).collect();
        let expected =
            ["ALLERGY|amoxicillin|penicillin", "INTERACTION|aspirin|warfarin", "INTERACTION|ibuprofen|warfarin"];
        prop_assert_eq!(keys, set(&expected));
        prop_assert!(found.issues.is_sorted_by_key(|issue| issue.severity));
    }
}
