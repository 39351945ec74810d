//! Every reason against, each by a question that has it; who may be insured together; and that eligibility and price
//! never disagree.

use std::sync::LazyLock;

use caremesh_kernel::{Date, DateRange, MemberId, PolicyId, TermId, Uuid};

use super::*;
use crate::domain::account::{LayerKind, Snapshot};
use crate::domain::engine::{Cover, CoverLayer, CoveredMember};
use crate::domain::plan::{Catalogue, PlanVersion, Relation};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::built_in().unwrap());

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn plan(code: &str) -> PlanVersion {
    CATALOGUE.current_versions().into_iter().find(|plan| plan.code == code).unwrap().clone()
}

fn cover(plan: &PlanVersion, relation: Relation, since: &str) -> Cover {
    let term = plan.term_from(day("2026-01-01"));
    Cover {
        policy: PolicyId::from_uuid(Uuid::from_u128(1)),
        term: TermId::from_uuid(Uuid::from_u128(2)),
        first_term: TermId::from_uuid(Uuid::from_u128(2)),
        term_range: term,
        segment: term,
        currency: plan.currency,
        continuous_since: day(since),
        layers: vec![CoverLayer {
            kind: LayerKind::Base,
            ordinal: 0,
            amount_minor: plan.sums_insured_minor[0],
            valid: term,
            waiting_from: day(since),
        }],
        member: CoveredMember {
            id: MemberId::from_uuid(Uuid::from_u128(3)),
            relation,
            birth: day("1986-03-14"),
            covered: DateRange::new(day(since), term.end()).unwrap(),
            continuous_since: day(since),
            pre_existing: vec!["E11".to_owned()],
            layers: Vec::new(),
            excluded: Vec::new(),
            waiting_waived: false,
        },
    }
}

fn question(benefit: &str, date: &str) -> Question {
    Question { date: day(date), benefits: vec![benefit.to_owned()], conditions: Vec::new(), accident: false }
}

fn untouched(plan: &PlanVersion, cover: &Cover, question: &Question) -> Snapshot {
    let needs = accounts_asked(plan, cover, question).unwrap();
    let accounts = needs.into_iter().map(|need| need.opening).collect();
    Snapshot { plan_version: plan.id(), accounts, draws: Vec::new() }
}

fn ask(plan: &PlanVersion, cover: &Cover, question: &Question) -> Vec<Ineligible> {
    let answer = answer(plan, Some(cover), true, question, &untouched(plan, cover, question));
    assert_eq!(answer.eligible, answer.reasons.is_empty());
    answer.reasons
}

#[test]
fn a_covered_member_is_eligible_for_what_the_plan_has() {
    let plan = plan("IN-FAMILY-FLOATER");
    let cover = cover(&plan, Relation::Holder, "2020-01-01");
    for benefit in ["CONSULTATION", "PHARMACY", "ROOM", "CATARACT", "MATERNITY"] {
        assert_eq!(ask(&plan, &cover, &question(benefit, "2026-03-10")), [], "{benefit}");
    }
}

#[test]
fn no_cover_cover_to_come_cover_gone_and_a_policy_not_in_force() {
    let plan = plan("IN-FAMILY-FLOATER");
    let cover = cover(&plan, Relation::Holder, "2026-01-01");
    let asked = question("CONSULTATION", "2026-03-10");
    let snapshot = untouched(&plan, &cover, &asked);
    assert_eq!(answer(&plan, None, true, &asked, &snapshot).reasons, [Ineligible::NoCover]);
    assert_eq!(answer(&plan, Some(&cover), false, &asked, &snapshot).reasons, [Ineligible::NotInForce]);
    let early = ask(&plan, &cover, &question("CONSULTATION", "2025-12-31"));
    assert_eq!(early, [Ineligible::CoverNotStarted { starts: day("2026-01-01") }]);
    let late = ask(&plan, &cover, &question("CONSULTATION", "2027-01-01"));
    assert_eq!(late, [Ineligible::CoverEnded { ended: day("2027-01-01") }]);
}

#[test]
fn a_waiting_period_says_until_when_and_every_one_is_said() {
    let plan = plan("IN-FAMILY-FLOATER");
    let cover = cover(&plan, Relation::Holder, "2026-01-01");
    let mut asked = question("CATARACT", "2026-01-15");
    asked.conditions = vec!["H25.1".to_owned(), "E11.9".to_owned()];
    let until = |rule: &str, date: &str| Ineligible::WaitingPeriod {
        benefit: "CATARACT".to_owned(),
        rule: rule.to_owned(),
        until: day(date),
    };
    let listed = [
        until("WAIT_INITIAL", "2026-01-31"),
        until("WAIT_LISTED", "2028-01-01"),
        until("WAIT_PRE_EXISTING", "2029-01-01"),
    ];
    assert_eq!(ask(&plan, &cover, &asked), listed);
    let accident = Question { accident: true, conditions: vec!["H25.1".to_owned()], ..asked };
    assert_eq!(ask(&plan, &cover, &accident), []);
    // Care outside hospital begins on the first day.
    assert_eq!(ask(&plan, &cover, &question("CONSULTATION", "2026-01-01")), []);
}

#[test]
fn an_exclusion_and_a_benefit_that_is_not_there() {
    let plan = plan("NG-INDIVIDUAL");
    let cover = cover(&plan, Relation::Holder, "2020-01-01");
    let mut asked = question("SURGERY", "2026-03-10");
    asked.conditions = vec!["Z41.1".to_owned()];
    let excluded = Ineligible::Excluded { benefit: "SURGERY".to_owned(), rule: "NO_COSMETIC".to_owned() };
    assert_eq!(ask(&plan, &cover, &asked), [excluded]);
    let missing = Ineligible::BenefitNotInPlan { benefit: "DENTAL".to_owned() };
    assert_eq!(ask(&plan, &cover, &question("DENTAL", "2026-03-10")), [missing]);
}

#[test]
fn a_benefit_for_others_is_not_for_this_member() {
    let mut plan = plan("NG-INDIVIDUAL");
    plan.expansions[1].when.max_age = Some(20);
    let cover = cover(&plan, Relation::Holder, "2020-01-01");
    let reason = Ineligible::NotForMember { benefit: "CONSULTATION".to_owned() };
    assert_eq!(ask(&plan, &cover, &question("CONSULTATION", "2026-03-10")), [reason]);
}

#[test]
fn a_full_pool_and_used_up_times_are_exhausted() {
    for (code, benefit, full) in [
        ("NG-INDIVIDUAL", "PHARMACY", "PHARMACY_MONTH"),
        ("NG-INDIVIDUAL", "CONSULTATION", "CONSULTATIONS"),
        ("IN-INDIVIDUAL", "CONSULTATION", "CONSULTATIONS_MONTH"),
        ("IN-INDIVIDUAL", "SURGERY", "SUM_INSURED"),
    ] {
        let plan = plan(code);
        let cover = cover(&plan, Relation::Holder, "2020-01-01");
        let asked = question(benefit, "2026-03-10");
        let mut snapshot = untouched(&plan, &cover, &asked);
        let account = snapshot.accounts.iter_mut().find(|account| account.key.code == full).unwrap();
        account.layers.iter_mut().for_each(|layer| layer.used = layer.granted);
        let id = account.id();
        let reasons = answer(&plan, Some(&cover), true, &asked, &snapshot).reasons;
        assert!(
            matches!(&reasons[..], [Ineligible::Exhausted { account: Some(found), .. }] if *found == id),
            "{code} {benefit}: {reasons:?}"
        );
    }
}

#[test]
fn what_would_be_restored_is_not_exhausted() {
    let plan = plan("IN-FAMILY-FLOATER");
    let cover = cover(&plan, Relation::Holder, "2020-01-01");
    let asked = question("ROOM", "2026-03-10");
    let mut snapshot = untouched(&plan, &cover, &asked);
    for layer in snapshot.accounts.iter_mut().flat_map(|account| &mut account.layers) {
        layer.used = layer.granted;
    }
    let reasons = answer(&plan, Some(&cover), true, &asked, &snapshot).reasons;
    assert_eq!(reasons, []);
}

#[test]
fn no_benefit_asked_means_is_there_cover_and_names_every_account() {
    let plan = plan("NG-FAMILY-FLOATER");
    let cover = cover(&plan, Relation::Parent, "2026-01-01");
    let asked = Question { benefits: Vec::new(), ..question("", "2026-03-10") };
    assert_eq!(ask(&plan, &cover, &asked), []);
    let needs = accounts_asked(&plan, &cover, &asked).unwrap();
    let codes: Vec<_> = needs.iter().map(|need| need.opening.key.code.as_str()).collect();
    for code in ["SUM_INSURED", "PARENTS_POOL", "OUTPATIENT", "PHARMACY_MONTH", "CONSULTATIONS"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
}

#[test]
fn inv_p7_relation_age_and_number_rules_are_all_said() {
    let rules = plan("IN-INDIVIDUAL").family;
    let start = day("2026-03-10");
    let breaches = |members: &[(Relation, &str)]| {
        let members: Vec<_> = members.iter().map(|(relation, birth)| (*relation, day(birth))).collect();
        family_breaches(&rules, &members, start)
    };
    assert_eq!(breaches(&[(Relation::Holder, "1986-03-14")]), []);
    assert_eq!(breaches(&[]), [FamilyBreach::TooFewMembers { least: 1 }]);
    // 66 on the day, one year too old; the day before the birthday still 65.
    assert_eq!(breaches(&[(Relation::Holder, "1960-03-10")]), [FamilyBreach::TooOld { member: 0 }]);
    assert_eq!(breaches(&[(Relation::Holder, "1960-03-11")]), []);
    // A newborn from day 91 on.
    let with_child =
        |birth: &'static str| breaches(&[(Relation::Holder, "1986-03-14"), (Relation::Child, birth)]);
    assert_eq!(with_child("2025-12-09"), []);
    assert_eq!(with_child("2025-12-10"), [FamilyBreach::TooYoung { member: 1 }]);
    assert_eq!(with_child("2026-03-11"), [FamilyBreach::TooYoung { member: 1 }]);
    let holder = (Relation::Holder, "1986-03-14");
    let spouse = (Relation::Spouse, "1990-01-01");
    let found = breaches(&[holder, spouse, spouse, (Relation::Sibling, "1990-01-01"), holder]);
    assert_eq!(
        found,
        [
            FamilyBreach::RelationNotInsured { member: 3 },
            FamilyBreach::TooManyOfRelation { relation: Relation::Spouse, most: 1 },
            FamilyBreach::TooManyMembers { most: 4 },
        ]
    );
}
