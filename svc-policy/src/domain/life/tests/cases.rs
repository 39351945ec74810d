//! Runs the hand-computed money of `tests/life/*.toml`. Each case carries its working; this file only compares.

use caremesh_kernel::{Bps, Date, DateRange, half_up};
use serde::Deserialize;

use super::{agreement, person};
use crate::domain::life::{Agreement, Amount, Change, Ending, Part};
use crate::domain::premium::shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// How the expected amounts come about, by hand.
    working: String,
    term: [Date; 2],
    parts: Vec<i64>,
    tax: i64,
    instalments: usize,
    paid: usize,
    steps: Vec<Step>,
    gives: Gives,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Step {
    Pay {
        pay: bool,
    },
    Leave {
        leave: usize,
        on: Date,
    },
    Join {
        join: i64,
        tax_bps: u32,
        on: Date,
    },
    /// What each member pays more for a whole term, below zero less, from a day on.
    Change {
        change: Vec<i64>,
        tax_bps: u32,
        on: Date,
    },
    Cancel {
        cancel: bool,
        on: Date,
        charges: i64,
        used: i64,
        held: i64,
    },
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Gives {
    premium: i64,
    tax: i64,
    retained: i64,
    receivable: [i64; 2],
    refunded: [i64; 2],
    payments: Vec<i64>,
}

struct Books {
    now: Agreement,
    refunded: Amount,
    term: DateRange,
}

impl Books {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Pay { pay } => self.now.paid += usize::from(*pay),
            Step::Leave { leave, on } => {
                let (next, _, refund) = self.now.without(person(*leave), *on);
                self.back(next, refund);
            }
            Step::Join { join, tax_bps, on } => {
                let days = DateRange::new(*on, self.term.end()).unwrap();
                let net = half_up(*join, days.days(), self.term.days());
                let part = Part { person: person(self.now.parts.len()), net, days };
                self.now = self.now.with(part, Bps::new(*tax_bps).unwrap().of(net), *on);
            }
            Step::Change { change, tax_bps, on } => {
                let days = on.days_until(self.term.end());
                let parts: Vec<i128> =
                    change.iter().map(|whole| i128::from(*whole) * i128::from(days)).collect();
                let shares = shared(&parts, i128::from(self.term.days())).unwrap();
                let shares: Vec<_> = shares.into_iter().enumerate().map(|(n, it)| (person(n), it)).collect();
                let rates = [Bps::new(*tax_bps).unwrap()];
                let (from, until, due) = (*on, self.term.end(), *on);
                let changed = Change { shares: &shares, rates: &rates, from, until, due };
                let (next, _, refund) = self.now.changed(&changed);
                self.back(next, refund);
            }
            Step::Cancel { cancel, on, charges, used, held } => {
                assert!(cancel, "a cancellation that is none");
                let (charges, used, held) = (*charges, *used, *held);
                let ending = Ending { effective: *on, charges, used, held, refunded: self.refunded };
                let (next, refund) = self.now.cancelled(&ending);
                self.back(next, refund);
            }
        }
        assert!(self.now.is_even(self.refunded));
    }

    fn back(&mut self, next: Agreement, refund: Amount) {
        self.refunded = Amount { net: self.refunded.net + refund.net, tax: self.refunded.tax + refund.tax };
        self.now = next;
    }
}

fn run(case: &Case) -> Gives {
    let term = DateRange::new(case.term[0], case.term[1]).unwrap();
    let now = agreement(&case.parts, case.tax, term, case.instalments, case.paid);
    let mut books = Books { now, refunded: Amount::default(), term };
    case.steps.iter().for_each(|step| books.step(step));
    let (due, back) = (books.now.receivable(), books.refunded);
    Gives {
        premium: books.now.premium(),
        tax: books.now.tax,
        retained: books.now.retained,
        receivable: [due.net, due.tax],
        refunded: [back.net, back.tax],
        payments: books.now.schedule.iter().map(|due| due.amount.total()).collect(),
    }
}

fn check(file: &str) -> usize {
    let path = format!("{}/tests/life/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let cases: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in &cases.case {
        assert!(!case.working.is_empty(), "{}: a case carries its working", case.name);
        assert_eq!(run(case), case.gives, "{file}: {}\n{}", case.name, case.working);
    }
    cases.case.len()
}

#[test]
fn the_life_of_policies_in_naira_costs_and_gives_back_what_was_computed_by_hand() {
    assert!(check("ngn") >= 30);
}

#[test]
fn the_life_of_policies_in_rupees_costs_and_gives_back_what_was_computed_by_hand() {
    assert!(check("inr") >= 30);
}
