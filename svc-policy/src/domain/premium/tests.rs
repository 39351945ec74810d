//! Rule R10 by hand: each test states its working; and laws over random families.
#![expect(clippy::inconsistent_digit_grouping, reason = "3_000_000_00 reads as 3,000,000.00")]

use std::sync::LazyLock;

use caremesh_kernel::{Date, DateRange};
use proptest::prelude::*;

use super::*;
use crate::domain::eligibility::FamilyBreach;
use crate::domain::plan::{Catalogue, Jurisdiction, Relation};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::built_in().unwrap());

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn range(from: &str, to: &str) -> DateRange {
    DateRange::new(day(from), day(to)).unwrap()
}

fn member(relation: Relation, birth: &str) -> ProposedMember {
    ProposedMember { relation, birth: day(birth), conditions: Vec::new(), load_bps: 0 }
}

fn plan(code: &str) -> (PlanVersion, Jurisdiction) {
    let catalogue = &*CATALOGUE;
    let plan = catalogue.current_versions().into_iter().find(|plan| plan.code == code).unwrap().clone();
    let jurisdiction = catalogue.jurisdiction(&plan.jurisdiction).unwrap().clone();
    (plan, jurisdiction)
}

/// Self 40, spouse 43, child 12, father 71, mother-in-law 74 on 1 December 2026.
fn family() -> Vec<ProposedMember> {
    vec![
        member(Relation::Holder, "1986-03-14"),
        member(Relation::Spouse, "1983-11-02"),
        member(Relation::Child, "2014-07-21"),
        member(Relation::Parent, "1955-01-30"),
        member(Relation::ParentInLaw, "1952-09-09"),
    ]
}

fn proposal(members: Vec<ProposedMember>, sum_insured_minor: i64, instalments: u32) -> Proposal {
    Proposal { members, sum_insured_minor, start: day("2026-12-01"), instalments }
}

#[test]
fn a_family_of_five_gets_its_discount_once_on_the_sum() {
    // ₦3,000,000: 92,500 + 92,500 + 38,500 + 247,500 + 247,500 = 718,500. Ten per cent once: 71,850.
    // Shared in proportion: 9,250 + 9,250 + 3,850 + 24,750 + 24,750, no remainder. Net 646,650.
    let (plan, jurisdiction) = plan("NG-FAMILY-FLOATER");
    let premium = quote(&plan, &jurisdiction, &proposal(family(), 3_000_000_00, 1)).unwrap();
    assert_eq!(premium.gross_minor, 718_500_00);
    assert_eq!(premium.discount_minor, 71_850_00);
    let net: Vec<i64> = premium.members.iter().map(|member| member.net_minor).collect();
    assert_eq!(net, [83_250_00, 83_250_00, 34_650_00, 222_750_00, 222_750_00]);
    assert_eq!((premium.net_minor, premium.tax_minor, premium.total_minor), (646_650_00, 0, 646_650_00));
}

#[test]
fn a_discount_that_does_not_divide_is_shared_by_largest_remainder() {
    // ₹5,00,000, self 40 and child 12: 9,775 + 4,150 = 13,925; 5 % once = 696.25. By weight: 488.75 and 207.50 exactly
    // in paise: 48,875 and 20,750. Net 9,286.25 and 3,942.50.
    let (plan, jurisdiction) = plan("IN-FAMILY-FLOATER");
    let members = vec![family()[0].clone(), family()[2].clone()];
    let premium = quote(&plan, &jurisdiction, &proposal(members, 5_00_000_00, 1)).unwrap();
    let net: Vec<i64> = premium.members.iter().map(|member| member.net_minor).collect();
    assert_eq!((premium.discount_minor, net), (696_25, vec![9_286_25, 3_942_50]));
}

#[test]
fn loadings_are_one_factor_and_round_once() {
    // ₹5,00,000 at 40: 9,775. Diabetes 15 % and hypertension 10 %: 9,775 × 1.15 × 1.10 = 12,365.375 → 12,365.38.
    let (plan, jurisdiction) = plan("IN-FAMILY-FLOATER");
    let mut who = family()[0].clone();
    who.conditions = vec!["E11.9".to_owned(), "I10".to_owned()];
    let premium = quote(&plan, &jurisdiction, &proposal(vec![who], 5_00_000_00, 1)).unwrap();
    assert_eq!(premium.gross_minor, 12_365_38);
}

#[test]
fn instalments_are_equal_earlier_ones_first() {
    // Net ₦646,650.00 in twelve: 64,665,000 kobo ÷ 12 = 5,388,750 each, no remainder. In four: 16,166,250.
    let (plan, jurisdiction) = plan("NG-FAMILY-FLOATER");
    let twelve = quote(&plan, &jurisdiction, &proposal(family(), 3_000_000_00, 12)).unwrap().instalments;
    assert!(twelve.iter().all(|instalment| instalment.amount_minor() == 53_887_50));
    assert_eq!((twelve[0].due, twelve[11].due), (day("2026-12-01"), day("2027-11-01")));
    // ₹13,228.75 in twelve: 1,322,875 paise = 12 × 110,239 + 7: seven instalments of 1,102.40, then five of 1,102.39.
    let (plan, jurisdiction) = self::plan("IN-FAMILY-FLOATER");
    let members = vec![family()[0].clone(), family()[2].clone()];
    let twelve = quote(&plan, &jurisdiction, &proposal(members, 5_00_000_00, 12)).unwrap().instalments;
    let amounts: Vec<i64> = twelve.iter().map(Instalment::amount_minor).collect();
    assert_eq!(amounts, [vec![1_102_40; 7], vec![1_102_39; 5]].concat());
}

#[test]
fn tax_is_that_of_the_day_the_term_starts_and_apart_from_the_rest() {
    // ₹9,775 net. GST 18 % until 21 September 2025 = 1,759.50; none from 22 September on.
    let (plan, jurisdiction) = plan("IN-FAMILY-FLOATER");
    let on = |start: &str| {
        let proposal = Proposal { start: day(start), ..proposal(vec![family()[0].clone()], 5_00_000_00, 1) };
        quote(&plan, &jurisdiction, &proposal).unwrap()
    };
    let before = on("2025-09-21");
    assert_eq!((before.net_minor, before.tax_minor, before.total_minor), (9_775_00, 1_759_50, 11_534_50));
    assert_eq!(on("2025-09-22").tax_minor, 0);
}

#[test]
fn a_family_rate_goes_by_the_eldest_and_is_shared_equally() {
    // Two adults and a child, the eldest 43, ₹20,00,000: 4,450 × (1 + 0.62 + 0.28) = 8,455 in the table. By three:
    // 845,500 paise = 281,834 + 281,833 + 281,833.
    let (plan, jurisdiction) = plan("IN-SUPER-TOP-UP");
    let premium = quote(&plan, &jurisdiction, &proposal(family()[..3].to_vec(), 20_00_000_00, 1)).unwrap();
    let net: Vec<i64> = premium.members.iter().map(|member| member.net_minor).collect();
    assert_eq!((premium.net_minor, net), (8_455_00, vec![2_818_34, 2_818_33, 2_818_33]));
}

#[test]
fn who_joins_in_mid_term_pays_one_multiplication_rounded_once() {
    // Term 1 December 2026 to 1 December 2027, 365 days. A child joins on 3 June 2027: 181 days left. Rate 38,500,
    // family of five: 10 % off. 3,850,000 × 9/10 × 181/365 = 627,165,000 ÷ 365 = 1,718,260.27 → 17,182.60.
    let (plan, _) = plan("NG-FAMILY-FLOATER");
    let joined = Proposal { start: day("2027-06-03"), ..proposal(family(), 3_000_000_00, 1) };
    let premium = mid_term_premium(&plan, &joined, 2, range("2026-12-01", "2027-12-01")).unwrap();
    assert_eq!(premium, 17_182_60);
    // A leap term counts 366 days: 1 March 2027 to 1 March 2028, joining on its last day: 3,850,000 × 9/10 ÷ 366 =
    // 9,467.21 → 94.67.
    let joined = Proposal { start: day("2028-02-29"), ..proposal(family(), 3_000_000_00, 1) };
    assert_eq!(mid_term_premium(&plan, &joined, 2, range("2027-03-01", "2028-03-01")).unwrap(), 94_67);
}

#[test]
fn premium_is_earned_by_days_gone_of_the_actual_term() {
    // 36,600 over 366 days is 100 a day; the term's first day has earned nothing before it began.
    let term = range("2027-03-01", "2028-03-01");
    let before = |date: &str| earned(366_00, term, day(date));
    assert_eq!(
        [before("2027-03-01"), before("2027-03-02"), before("2028-02-29"), before("2028-03-01")],
        [0, 1_00, 365_00, 366_00]
    );
    assert_eq!((before("2029-01-01"), before("2020-01-01")), (366_00, 0));
    // 10,000 over 365 days, 73 days gone: exactly 2,000; 74 days: 2,027.397 → 2,027.
    let term = range("2026-12-01", "2027-12-01");
    assert_eq!(
        (earned(10_000, term, day("2027-02-12")), earned(10_000, term, day("2027-02-13"))),
        (2_000, 2_027)
    );
}

fn cancelled() -> Cancellation {
    let term = range("2026-12-01", "2027-12-01");
    Cancellation {
        received_minor: 73_000_00,
        members: vec![MemberRisk { net_minor: 36_500_00, term }, MemberRisk { net_minor: 36_500_00, term }],
        effective: day("2026-12-31"),
        charges_minor: 500_00,
        used_minor: 20_000_00,
        held_minor: 10_000_00,
    }
}

#[test]
fn a_refund_nets_risk_charges_and_plan_money_used_and_held() {
    // 30 days on cover: 100 a day and member: 3,000 each. 73,000 − 6,000 − 500 − 20,000 − 10,000 = 36,500.
    assert_eq!(cancelled().refund(), 36_500_00);
    // The hold later releases 4,000: a second refund of that.
    assert_eq!(cancelled().refund_after_release(4_000_00), 4_000_00);
}

#[test]
fn a_refund_is_never_negative_and_a_release_gives_back_only_what_was_missing() {
    // Used 60,000: 73,000 − 6,000 − 500 − 60,000 − 10,000 = −3,500 → 0. The hold releases 10,000: 6,500 are due.
    let drained = Cancellation { used_minor: 60_000_00, ..cancelled() };
    assert_eq!(drained.refund(), 0);
    assert_eq!(drained.refund_after_release(10_000_00), 6_500_00);
    assert_eq!(drained.refund_after_release(99_000_00), 6_500_00);
}

#[test]
fn a_credit_goes_to_the_next_instalments_due() {
    let (plan, jurisdiction) = plan("NG-FAMILY-FLOATER");
    let four = quote(&plan, &jurisdiction, &proposal(family(), 3_000_000_00, 4)).unwrap().instalments;
    // 161,662.50 each, due in December, March, June, September. 200,000 after January: March falls away whole, June
    // by 38,337.50.
    let (reduced, left) = credit_next_instalments(&four, day("2027-01-15"), 200_000_00);
    let net: Vec<i64> = reduced.iter().map(|instalment| instalment.net_minor).collect();
    assert_eq!((net, left), (vec![161_662_50, 0, 123_325_00, 161_662_50], 0));
    let (_, left) = credit_next_instalments(&four, day("2027-09-02"), 5_00);
    assert_eq!(left, 5_00);
}

#[test]
fn carriers_share_by_largest_remainder() {
    // 60 % and 40 % of 101: 60.6 and 40.4 → 61 and 40.
    let (plan, _) = plan("IN-FAMILY-FLOATER");
    let shares: Vec<i64> = carrier_shares(&plan, 101).into_iter().map(|(_, share)| share).collect();
    assert_eq!(shares, [61, 40]);
}

#[test]
fn what_the_plan_does_not_offer_is_refused_with_its_reason() {
    let (plan, jurisdiction) = plan("NG-FAMILY-FLOATER");
    let ask = |proposal: &Proposal| quote(&plan, &jurisdiction, proposal);
    assert_eq!(ask(&proposal(family(), 1, 1)), Err(PremiumError::SumInsuredNotOffered));
    assert_eq!(ask(&proposal(family(), 3_000_000_00, 5)), Err(PremiumError::InstalmentsNotOffered(5)));
    let early = Proposal { start: day("2024-12-31"), ..proposal(family(), 3_000_000_00, 1) };
    assert_eq!(ask(&early), Err(PremiumError::NotOnSale(day("2024-12-31"))));
    let grandchild = vec![member(Relation::Holder, "1986-03-14"), member(Relation::Grandchild, "2020-01-01")];
    let breach = vec![FamilyBreach::RelationNotInsured { member: 1 }];
    assert_eq!(ask(&proposal(grandchild, 3_000_000_00, 1)), Err(PremiumError::FamilyNotAllowed(breach)));
}

proptest! {
    #[test]
    fn every_split_of_a_premium_sums_to_it(children in 0usize..5, parents in 0usize..3, born in 0i64..6_000, ways in prop::sample::select(vec![1u32, 4, 12])) {
        let (plan, jurisdiction) = plan("NG-FAMILY-FLOATER");
        let mut members = vec![member(Relation::Holder, "1986-03-14")];
        members.extend((0..children).map(|_| ProposedMember {
            relation: Relation::Child,
            birth: day("2009-01-01").plus_days(born),
            load_bps: 0,
            conditions: Vec::new(),
        }));
        members.extend((0..parents).map(|_| member(Relation::Parent, "1955-01-30")));
        let premium = quote(&plan, &jurisdiction, &proposal(members, 5_000_000_00, ways)).unwrap();
        prop_assert_eq!(premium.members.iter().map(|m| m.gross_minor).sum::<i64>(), premium.gross_minor);
        prop_assert_eq!(premium.members.iter().map(|m| m.net_minor).sum::<i64>(), premium.net_minor);
        prop_assert_eq!(premium.instalments.iter().map(Instalment::amount_minor).sum::<i64>(), premium.total_minor);
        prop_assert!(premium.instalments.windows(2).all(|pair| pair[0].net_minor >= pair[1].net_minor));
        prop_assert!(premium.members.iter().all(|m| 0 <= m.net_minor && m.net_minor <= m.gross_minor));
        let shares: i64 = carrier_shares(&plan, premium.net_minor).into_iter().map(|(_, share)| share).sum();
        prop_assert_eq!(shares, premium.net_minor);
    }

    #[test]
    fn earned_premium_rises_day_by_day_to_the_whole(net in 0i64..1_000_000_000, gone in 0i64..400) {
        let term = range("2026-12-01", "2027-12-01");
        let on = term.start().plus_days(gone);
        let (now, next) = (earned(net, term, on), earned(net, term, on.plus_days(1)));
        prop_assert!(0 <= now && now <= next && next <= net);
        prop_assert_eq!(earned(net, term, term.end()), net);
    }

    #[test]
    fn a_refund_never_exceeds_what_was_received(received in 0i64..1_000_000, net in 0i64..1_000_000, used in 0i64..1_000_000, held in 0i64..1_000_000, released in 0i64..1_000_000) {
        let cancellation = Cancellation {
            received_minor: received,
            members: vec![MemberRisk { net_minor: net, term: range("2026-12-01", "2027-12-01") }],
            used_minor: used,
            held_minor: held,
            ..cancelled()
        };
        let both = cancellation.refund() + cancellation.refund_after_release(released);
        prop_assert!((0..=received).contains(&both));
        prop_assert!(cancellation.refund_after_release(released) <= released);
    }
}
