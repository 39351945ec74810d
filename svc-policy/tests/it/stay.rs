//! A stay over the end of a term: priced by both terms, posted to both, each with its own accounts.

use caremesh_kernel::Date;
use caremesh_mesh::wire::date;
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;
use prost::Message as _;

use crate::common::*;

fn rupees(minor: i64) -> Option<types::Money> {
    Some(types::Money { currency_code: "INR".to_owned(), minor_units: minor })
}

/// The same policy for one more year, as a renewal writes it.
const SECOND_TERM: &str = "\
INSERT INTO policy_term (id, policy_id, number, starts_on, ends_on, state) \
SELECT 'trm_00000000000000000000000009', policy_id, 2, ends_on, \
CAST(CAST(substr(ends_on, 1, 4) AS INTEGER) + 1 AS TEXT) || substr(ends_on, 5), 'OPEN' FROM policy_term;\
INSERT INTO term_segment (term_id, starts_on, ends_on, plan_version_id, sum_insured) \
SELECT t.id, t.starts_on, t.ends_on, s.plan_version_id, s.sum_insured FROM policy_term t, term_segment s WHERE t.number = 2;\
UPDATE member SET ends_on = (SELECT MAX(ends_on) FROM policy_term)";

/// Somebody with a plan that deals a stay out by days, insured for two years; the day on which the first ends.
async fn insured_for_two_years(world: &World) -> (String, Date) {
    let holder = somebody();
    let person = world.enter(&holder, (1990, 5, 17), false).await;
    let asked = CreateQuoteRequest {
        request_id: request_id(),
        plan_version_id: world.plan_version("IN-INDIVIDUAL").await,
        sum_insured: rupees(3_00_000_00),
        policyholder_person_id: person.clone(),
        members: vec![ProposedMember {
            person_id: person,
            relation: Relation::Self_.into(),
            declared_conditions: Vec::new(),
        }],
        start_date: wire_date(world.today().plus_days(1)),
        instalment_count: 0,
        validate_only: false,
        prior_cover: None,
    };
    let quote = world.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote;
    let quote = quote.expect("a quote");
    let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
    let bought = world.policies(&holder).purchase_policy(asked).await.expect("a policy").into_inner().policy;
    let bought = bought.expect("a policy");
    let finance = staff("finance_officer");
    world.policies(&finance).record_premium_payment(world.payment(&quote)).await.expect("a receipt");
    world.execute(SECOND_TERM).await;
    let end = bought.terms[0].period.as_ref().expect("days").end;
    (bought.members[0].member_id.clone(), date("end", end).expect("a date"))
}

/// ₹80,000 from two days before the day to two days after it.
fn stay(world: &World, member: &str, over: Date) -> PriceRequest {
    let mut asked = event(world, member, EventKind::Admission, "HOSPITAL", LineKind::Other, 0);
    let stay = asked.event.as_mut().expect("an event");
    stay.event_date = wire_date(over.plus_days(-2));
    stay.discharge_date = wire_date(over.plus_days(2));
    asked.lines[0].billed = rupees(80_000_00);
    asked
}

fn posting_of(asked: &PriceRequest, part: &PricePart, number: i32, source: &PostingSource) -> PostRequest {
    let price = Price {
        legs: part.legs.clone(),
        expected_versions: part.expected_versions.clone(),
        ..Price::default()
    };
    let mut post = posting(asked, &price, PostingKind::Capture);
    post.source = Some(source.clone());
    post.event.as_mut().expect("an event").event_date = part.event_date;
    post.instructions[0].part = number;
    post
}

for_each_database! { with world;
    async fn a_stay_over_the_end_of_a_term_is_paid_by_both_terms(world: World) {
        // 40,000 in each term: deductible 10,000 each, a tenth of 30,000 is 3,000, payable 27,000 each.
        let (member, end) = insured_for_two_years(&world).await;
        let asked = stay(&world, &member, end);
        let price = world.price(&asked).await;
        let total = price.total.expect("a total");
        let whole = (total.claimed_minor, total.deductible_minor, total.copay_minor, total.payable_minor);
        assert_eq!(whole, (80_000_00, 20_000_00, 6_000_00, 54_000_00));
        assert!(price.legs.is_empty() && price.snapshot.is_none(), "legs and snapshots are in the parts");
        let parts: Vec<_> = price.parts.iter().map(|part| (part.event_date, part.total.expect("a total").payable_minor)).collect();
        assert_eq!(parts, [(wire_date(end.plus_days(-2)), 27_000_00), (wire_date(end), 27_000_00)]);

        let source = PostingSource { service: "svc-claims".to_owned(), resource_id: fresh_id("clm"), revision: 0 };
        let mut terms = Vec::new();
        for (number, part) in (0..).zip(&price.parts) {
            let posted = world.post(posting_of(&asked, part, number, &source)).await.posting.expect("a posting");
            terms.push(posted.term_id);
        }
        assert_ne!(terms[0], terms[1]);
        // Both deductibles are satisfied now: a tenth of 40,000 is 4,000, 36,000 are payable in each term.
        let again = world.price(&stay(&world, &member, end)).await;
        assert_eq!(again.total.expect("a total").payable_minor, 72_000_00);
        world.verify().await;
    }

    async fn the_snapshots_of_all_parts_give_the_price_again_and_one_of_them_alone_does_not(world: World) {
        let (member, end) = insured_for_two_years(&world).await;
        let asked = stay(&world, &member, end);
        let price = world.price(&asked).await;
        let source = PostingSource { service: "svc-claims".to_owned(), resource_id: fresh_id("clm"), revision: 0 };
        world.post(posting_of(&asked, &price.parts[0], 0, &source)).await;
        let snapshots: Vec<_> = price.parts.iter().filter_map(|part| part.snapshot.clone()).collect();
        let again = PriceRequest { snapshots: snapshots.clone(), ..asked.clone() };
        assert_eq!(world.price(&again).await.encode_to_vec(), price.encode_to_vec());
        let alone = PriceRequest { snapshots: snapshots[..1].to_vec(), ..asked.clone() };
        assert_eq!(refused(world.claims().price(alone).await), "SNAPSHOT_INVALID");
        let turned = PriceRequest { snapshots: snapshots.iter().rev().cloned().collect(), ..asked.clone() };
        assert_eq!(refused(world.claims().price(turned).await), "SNAPSHOT_INVALID");
        let both = PriceRequest { snapshot: snapshots.first().cloned(), snapshots, ..asked };
        assert_eq!(refused(world.claims().price(both).await), "FIELD_INVALID");
    }

    async fn days_after_the_last_term_are_not_covered(world: World) {
        // Two of four days are left of the second term: 40,000 in it, 40,000 on days that nothing covers.
        let (member, end) = insured_for_two_years(&world).await;
        let price = world.price(&stay(&world, &member, end.plus_months(12))).await;
        let total = price.total.expect("a total");
        assert_eq!((total.noncovered_minor, total.payable_minor), (40_000_00, 27_000_00));
        assert!(price.parts.is_empty(), "one segment pays it alone");
        let asked = stay(&world, &member, end.plus_months(13));
        assert_eq!(refused(world.claims().price(asked).await), "NO_COVER_AT_EVENT_DATE");
    }
}
