//! What leads from an offer to cover, and what does not.

use caremesh_kernel::{Currency, Date, Money, PersonId, PlanVersionId, QuoteId, Timestamp, Uuid, Zone};

use super::*;
use crate::domain::plan::Relation;

const HOUR_MS: i64 = 3_600_000;

fn lagos() -> Zone {
    "Africa/Lagos".parse().unwrap()
}

fn day(year: i32, month: u32, day: u32) -> Date {
    Date::new(year, month, day).unwrap()
}

fn made() -> Timestamp {
    lagos().start_of(day(2026, 3, 1)).plus_ms(10 * HOUR_MS)
}

fn quote(start: Date) -> Quote {
    let person = PersonId::from_uuid(Uuid::from_u128(1));
    let premium = Premium {
        members: vec![MemberPremium { person, gross: 1_000, net: 1_000, days: None }],
        gross: 1_000,
        discount: 0,
        net: 1_000,
        tax: 1,
        total: 1_001,
        retained: 0,
        instalments: vec![
            Instalment { number: 1, due: start, amount: 501, tax: 1 },
            Instalment { number: 2, due: start.plus_months(6), amount: 500, tax: 0 },
        ],
    };
    Quote {
        id: QuoteId::from_uuid(Uuid::from_u128(2)),
        plan_version: PlanVersionId::from_uuid(Uuid::from_u128(3)),
        policyholder: person,
        members: vec![QuoteMember { person, relation: Relation::Holder, declared: vec![] }],
        sum_insured: Money::new(Currency::NGN, 5_000_000),
        review: None,
        prior: None,
        start,
        premium,
        expires: expiry(made(), start, &lagos()),
        created: made(),
        policy: None,
        version: 1,
    }
}

fn payment(minor: i64, received: Timestamp) -> Payment {
    Payment { reference: "ref".to_owned(), amount: Money::new(Currency::NGN, minor), received }
}

#[test]
fn inv_p6_a_policy_is_not_active_before_its_first_instalment() {
    let quote = quote(day(2026, 3, 10));
    let unpaid = purchase(&quote, 12, false, made()).unwrap();
    assert!(!unpaid.state.is_in_force());
    let receipt = receive(&quote, 0, Some(unpaid.state), &payment(501, made()), made()).unwrap();
    assert_eq!(receipt.activates, Some(PolicyState::Active { since: made() }));
}

#[test]
fn inv_p6_nobody_pays_after_the_start_date_for_cover_that_began_on_it() {
    let quote = quote(day(2026, 3, 1));
    let midnight = lagos().start_of(day(2026, 3, 2));
    assert_eq!(quote.expires, midnight);
    let bought = purchase(&quote, 12, false, made()).unwrap();
    let last = midnight.plus_ms(-1);
    assert!(receive(&quote, 0, Some(bought.state), &payment(501, last), midnight).is_ok());
    let late = receive(&quote, 0, Some(bought.state), &payment(501, midnight), midnight);
    assert_eq!(late, Err(PaymentRefusal::Expired));
    assert_eq!(bought.state.at(midnight), PolicyState::ExpiredQuote);
}

#[test]
fn a_payment_before_the_purchase_makes_the_purchase_active_even_when_the_quote_has_expired_since() {
    let quote = quote(day(2026, 3, 10));
    assert_eq!(receive(&quote, 0, None, &payment(501, made()), made()).unwrap().activates, None);
    let bought = purchase(&quote, 12, true, quote.expires).unwrap();
    assert!(bought.activated && bought.state.is_in_force());
    assert_eq!(purchase(&quote, 12, false, quote.expires), Err(PurchaseRefusal::Expired));
}

#[test]
fn a_quote_bought_again_names_the_policy_it_became() {
    let mut quote = quote(day(2026, 3, 10));
    let bought = purchase(&quote, 12, false, made()).unwrap();
    assert_eq!(purchase(&quote, 12, false, made()).unwrap().id, bought.id, "the id follows from the quote");
    quote.policy = Some(bought.id);
    assert_eq!(purchase(&quote, 12, false, made()), Err(PurchaseRefusal::AlreadyPurchased(bought.id)));
}

#[test]
fn only_the_next_instalment_to_the_minor_unit_is_a_payment() {
    let quote = quote(day(2026, 3, 10));
    let pay = |paid, minor| receive(&quote, paid, None, &payment(minor, made()), made());
    assert_eq!(pay(0, 500), Err(PaymentRefusal::NotWhatIsDue { due: 501 }));
    assert_eq!(pay(1, 500).unwrap().number, 2);
    assert_eq!(pay(2, 500), Err(PaymentRefusal::NotWhatIsDue { due: 0 }));
    let rupees = Payment { amount: Money::new(Currency::INR, 501), ..payment(501, made()) };
    assert_eq!(receive(&quote, 0, None, &rupees, made()), Err(PaymentRefusal::OtherCurrency));
    let tomorrow = payment(501, made().plus_ms(24 * HOUR_MS));
    assert_eq!(receive(&quote, 0, None, &tomorrow, made()), Err(PaymentRefusal::InTheFuture));
}

#[test]
fn a_term_from_29_february_ends_where_its_anniversary_begins() {
    let quote = quote(day(2028, 2, 29));
    let bought = purchase(&quote, 12, false, made()).unwrap();
    assert_eq!(bought.term.days.end(), day(2029, 2, 28));
    assert_eq!(bought.term.days.days(), 365);
}
