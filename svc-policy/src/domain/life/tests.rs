//! The life of a policy: every transition that exists and none besides, books that are even at every step (INV-P5), and
//! what time alone does.

use caremesh_kernel::{Bps, Date, DateRange, PersonId, Timestamp, Uuid, split_largest_remainder};
use proptest::prelude::*;

use super::*;
use crate::domain::policy::{LifeEvent, PolicyState};

mod cases;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn person(n: usize) -> PersonId {
    PersonId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

/// A family's agreement over a term, paid in equal instalments three months apart.
fn agreement(nets: &[i64], tax: i64, term: DateRange, instalments: usize, paid: usize) -> Agreement {
    let equal = vec![1; instalments];
    let amounts = split_largest_remainder(nets.iter().sum(), &equal)
        .into_iter()
        .zip(split_largest_remainder(tax, &equal));
    let due = |(number, (net, tax)): (u32, (i64, i64))| Due {
        number,
        due: term.start().plus_months(3 * i32::try_from(number - 1).unwrap()),
        amount: Amount { net, tax },
    };
    Agreement {
        parts: nets
            .iter()
            .enumerate()
            .map(|(n, net)| Part { person: person(n), net: *net, days: term })
            .collect(),
        tax,
        retained: 0,
        schedule: (1..).zip(amounts).map(due).collect(),
        paid,
    }
}

const SINCE: Timestamp = Timestamp::from_micros(1);

fn states() -> Vec<PolicyState> {
    let on = day("2026-05-01");
    vec![
        PolicyState::PendingPayment { expires: Timestamp::from_micros(9) },
        PolicyState::Active { since: SINCE },
        PolicyState::InGrace { since: SINCE, until: on },
        PolicyState::Lapsed { since: SINCE, on },
        PolicyState::Cancelled { since: SINCE, on },
        PolicyState::Expired { since: SINCE, on },
        PolicyState::ExpiredQuote,
    ]
}

fn events() -> Vec<LifeEvent> {
    let on = day("2026-05-01");
    vec![
        LifeEvent::FirstPremium { at: SINCE },
        LifeEvent::QuoteOver,
        LifeEvent::Overdue { until: on },
        LifeEvent::Settled,
        LifeEvent::GraceOver { on },
        LifeEvent::Cancel { on },
        LifeEvent::TermOver { on },
        LifeEvent::Reinstate,
        LifeEvent::Renew,
    ]
}

fn word<T: std::fmt::Debug>(value: T) -> String {
    format!("{value:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn every_transition_of_a_policy_that_is_not_in_the_table_is_refused() {
    let allowed = [
        ("PendingPayment", "FirstPremium", "Active"),
        ("PendingPayment", "QuoteOver", "ExpiredQuote"),
        ("Active", "Overdue", "InGrace"),
        ("Active", "Cancel", "Cancelled"),
        ("Active", "TermOver", "Expired"),
        ("Active", "Renew", "Active"),
        ("InGrace", "Settled", "Active"),
        ("InGrace", "GraceOver", "Lapsed"),
        ("InGrace", "Cancel", "Cancelled"),
        ("InGrace", "TermOver", "Expired"),
        ("Lapsed", "Reinstate", "Active"),
        ("Expired", "Renew", "Active"),
    ];
    let mut found = Vec::new();
    for state in states() {
        for event in events() {
            if let Ok(next) = state.after(event) {
                found.push((word(state), word(event), word(next)));
            }
        }
    }
    let expected: Vec<_> =
        allowed.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_ended_once_stays_ended() {
    for ended in [PolicyState::Cancelled { since: SINCE, on: day("2026-05-01") }, PolicyState::ExpiredQuote] {
        assert!(events().into_iter().all(|event| ended.after(event).is_err()), "{ended:?}");
    }
}

const NIGERIA: Clocks = Clocks { grace_days: 30, covers_in_grace: false };
const INDIA: Clocks = Clocks { grace_days: 15, covers_in_grace: true };

#[test]
fn the_due_day_is_in_time_and_the_day_after_the_last_grace_day_is_too_late() {
    let end = day("2027-01-01");
    let on = |today| standing(Some(day("2026-04-01")), end, INDIA, day(today));
    assert_eq!(on("2026-04-01"), Standing::InForce);
    let grace = Standing::InGrace { until: day("2026-04-17"), cover_ends: day("2026-04-17") };
    assert_eq!((on("2026-04-02"), on("2026-04-16")), (grace, grace));
    assert_eq!(on("2026-04-17"), Standing::Lapsed { cover_ends: day("2026-04-17") });
}

#[test]
fn where_nothing_is_covered_before_it_is_paid_cover_ends_with_the_due_day() {
    let on = |today| standing(Some(day("2026-04-01")), day("2027-01-01"), NIGERIA, day(today));
    let grace = Standing::InGrace { until: day("2026-05-02"), cover_ends: day("2026-04-01") };
    assert_eq!(on("2026-05-01"), grace);
    assert_eq!(on("2026-05-02"), Standing::Lapsed { cover_ends: day("2026-04-01") });
}

#[test]
fn a_term_ends_by_itself_and_a_premium_due_at_its_end_is_no_debt() {
    let end = day("2027-01-01");
    assert_eq!(standing(None, end, INDIA, day("2026-12-31")), Standing::InForce);
    assert_eq!(standing(None, end, INDIA, end), Standing::TermOver { cover_ends: end });
    assert_eq!(standing(Some(end), end, INDIA, day("2027-03-01")), Standing::TermOver { cover_ends: end });
}

#[derive(Debug, Clone)]
enum Step {
    Pay,
    Join { net: i64, tax: i64, on: i64 },
    Leave { who: usize, on: i64 },
    Change { shares: Vec<i64>, on: i64 },
    Cancel { on: i64, charges: i64, used: i64, held: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Pay),
        2 => (0i64..2_000_000, 0i64..300_000, 0i64..366).prop_map(|(net, tax, on)| Step::Join { net, tax, on }),
        2 => (0usize..6, 0i64..366).prop_map(|(who, on)| Step::Leave { who, on }),
        2 => (prop::collection::vec(-1_500_000i64..1_500_000, 1..4), 0i64..366)
            .prop_map(|(shares, on)| Step::Change { shares, on }),
        1 => (0i64..366, 0i64..50_000, 0i64..900_000, 0i64..900_000)
            .prop_map(|(on, charges, used, held)| Step::Cancel { on, charges, used, held }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn inv_p5_the_books_are_even_after_every_step_of_any_history(
        nets in prop::collection::vec(0i64..3_000_000, 1..5),
        tax in 0i64..400_000,
        instalments in prop::sample::select(vec![1usize, 2, 4]),
        leap in any::<bool>(),
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let start = if leap { day("2027-04-01") } else { day("2025-04-01") };
        let term = DateRange::new(start, start.plus_months(12)).unwrap();
        let mut now = agreement(&nets, tax, term, instalments, 0);
        let (mut refunded, mut joined) = (Amount::default(), nets.len());
        for step in steps {
            match step {
                Step::Pay => now.paid = (now.paid + 1).min(now.schedule.len()),
                Step::Join { net, tax, on } => {
                    let from = start.plus_days(on.min(term.days() - 1));
                    let days = DateRange::new(from, term.end()).unwrap();
                    now = now.with(Part { person: person(joined), net, days }, tax, from);
                    joined += 1;
                }
                Step::Leave { who, on } => {
                    let before = now.net();
                    let (next, credit, refund) = now.without(person(who), start.plus_days(on));
                    prop_assert_eq!(next.net() + credit.net, before, "a credit is what is agreed no more");
                    prop_assert!(refund.net <= credit.net && refund.tax <= credit.tax);
                    refunded = Amount { net: refunded.net + refund.net, tax: refunded.tax + refund.tax };
                    now = next;
                }
                Step::Change { shares, on } => {
                    let shares: Vec<_> = shares.iter().enumerate().map(|(n, share)| (person(n), *share)).collect();
                    let rates = [Bps::new(750).unwrap()];
                    let from = start.plus_days(on.min(term.days() - 1));
                    let change = Change { shares: &shares, rates: &rates, from, until: term.end(), due: from };
                    let earned = now.earned(from);
                    let (next, change, refund) = now.changed(&change);
                    prop_assert_eq!(next.net(), now.net() + change.net);
                    prop_assert_eq!(next.earned(from), earned, "what is earned stays earned");
                    refunded = Amount { net: refunded.net + refund.net, tax: refunded.tax + refund.tax };
                    now = next;
                }
                Step::Cancel { on, charges, used, held } => {
                    let ending = Ending { effective: start.plus_days(on), charges, used, held, refunded };
                    let (next, refund) = now.cancelled(&ending);
                    prop_assert!(refund.net >= 0 && refund.tax >= 0);
                    refunded = Amount { net: refunded.net + refund.net, tax: refunded.tax + refund.tax };
                    prop_assert_eq!(next.premium(), next.earned(term.end()), "what is agreed is earned");
                    now = next;
                }
            }
            prop_assert!(now.is_even(refunded), "{now:?} refunded {refunded:?}");
            prop_assert!(now.schedule.iter().all(|due| due.amount.net >= 0 && due.amount.tax >= 0));
            let received = now.received();
            prop_assert!(refunded.net <= received.net && refunded.tax <= received.tax, "never more than was received");
            let any = start.plus_days(100);
            prop_assert_eq!(now.earned(any) + (now.premium() - now.earned(any)) + now.retained, now.net());
        }
    }

    #[test]
    fn more_used_never_gives_more_back(
        nets in prop::collection::vec(1i64..3_000_000, 1..4), used in 0i64..2_000_000, more in 0i64..2_000_000, on in 0i64..365,
    ) {
        let start = day("2025-04-01");
        let term = DateRange::new(start, start.plus_months(12)).unwrap();
        let paid = agreement(&nets, 0, term, 1, 1);
        let ending = |used| Ending {
            effective: start.plus_days(on), charges: 0, used, held: 0, refunded: Amount::default(),
        };
        prop_assert!(paid.cancelled(&ending(used + more)).1.net <= paid.cancelled(&ending(used)).1.net);
    }
}
