//! Where a policy stands by now, and the books of its term: rows put together with what time alone does. What every change
//! of a policy and every reader of cover shares.

use caremesh_kernel::{Date, DateRange, Timestamp};

use super::quote::state;
use super::{App, Error};
use crate::domain::life::{Agreement, Amount, Clocks, Due, Part, Reminder, Standing, reminders, standing};
use crate::domain::plan::Jurisdiction;
use crate::domain::policy::{Instalment, LifeEvent, MemberPremium, PolicyState, Premium};
use crate::store::life::RefundRow;
use crate::store::{Error as StoreError, policy, quote};

/// Where a policy stands at an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Living {
    /// The state, with what time alone did to it.
    pub(crate) state: PolicyState,
    /// The first day that is not covered as things stand; none where the members' own days say it.
    pub(crate) cover_ends: Option<Date>,
}

/// The premium of a policy's term and what was given back of it.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    /// What is agreed.
    pub(crate) agreement: Agreement,
    /// What was given back.
    pub(crate) refunded: Amount,
    /// Days of the term.
    pub(crate) term: DateRange,
}

impl App {
    /// Where the policy stands at an instant.
    pub(crate) fn living(&self, found: &policy::Found, now: Timestamp) -> Result<Living, Error> {
        let (_, law) = self.plan_and_law(found.quote.plan_version_id)?;
        let row = &found.policy;
        let expires = Timestamp::from_micros(found.quote.expires_at);
        let stored = state(&row.state, row.activated_at, row.ended_on, expires)?.at(now);
        if !matches!(stored, PolicyState::Active { .. }) {
            return Ok(Living { state: stored, cover_ends: None });
        }
        let books = books(found)?;
        let due = books.agreement.next_due().map(|due| due.due);
        let today = law.zone.day_of(now);
        living(stored, standing(due, books.term.end(), clocks(law), today))
    }
}

/// What the law gives a late payer.
pub(crate) fn clocks(law: &Jurisdiction) -> Clocks {
    Clocks { grace_days: law.grace_days_instalment, covers_in_grace: law.covers_in_grace }
}

/// Sets when time may change the policy next, and the day of its first unpaid premium.
pub(crate) fn schedule(found: &mut policy::Found, law: &Jurisdiction, today: Date) -> Result<(), Error> {
    let active = found.policy.state == "ACTIVE";
    let due = if active { books(found)?.agreement.next_due().map(|due| due.due) } else { None };
    (found.policy.acts_on, found.policy.due_on) = (acts_on(found, law, today)?, due);
    Ok(())
}

/// The day on which time may change a policy: the next reminder, the end of grace or of the term while it is active; once it
/// has ended, the day after which nothing can be claimed or appealed any more and its term closes.
fn acts_on(found: &policy::Found, law: &Jurisdiction, today: Date) -> Result<Option<Date>, Error> {
    let row = &found.policy;
    if row.state == "ACTIVE" {
        let books = books(found)?;
        let too_late = |due: Due| due.due.plus_days(1 + i64::from(law.grace_days_instalment));
        let overdue = books.agreement.next_due().map(too_late);
        let next = reminders_of(&books, law).into_iter().map(|it| it.on).find(|on| *on > today);
        let end = books.term.end();
        let terms = found.terms.iter().filter_map(|term| term_acts(term, law));
        return Ok(overdue.into_iter().chain(next).chain(terms).chain([end]).min());
    }
    let open = found.terms.iter().any(|term| term.state != "CLOSED");
    Ok(row.ended_on.filter(|_| open).map(|day| closes(day, law)))
}

/// The day on which time takes a term further: it runs off at its end, and closes when nothing of it can be filed or appealed
/// any more.
fn term_acts(term: &policy::TermRow, law: &Jurisdiction) -> Option<Date> {
    match term.state.as_str() {
        "OPEN" => Some(term.ends_on),
        "RUN_OFF" => Some(closes(term.ends_on, law)),
        _ => None,
    }
}

fn closes(end: Date, law: &Jurisdiction) -> Date {
    end.plus_days(i64::from(law.filing_days) + i64::from(law.appeal_days))
}

/// Takes the terms that were renewed further, as far as a day has come; the last one goes with its policy. Answers whether any
/// changed.
pub(crate) fn run_off(found: &mut policy::Found, law: &Jurisdiction, today: Date) -> bool {
    let last = found.terms.len().saturating_sub(1);
    let mut changed = false;
    for term in found.terms.iter_mut().take(last) {
        while let Some(on) = term_acts(term, law).filter(|on| *on <= today) {
            term.state =
                if on == term.ends_on && term.state == "OPEN" { "RUN_OFF" } else { "CLOSED" }.to_owned();
            changed = true;
        }
    }
    changed
}

/// Every reminder of a policy in force, by their days.
pub(crate) fn reminders_of(books: &Books, law: &Jurisdiction) -> Vec<Reminder> {
    let due = books.agreement.next_due().map(|due| due.due);
    reminders(due, books.term.end(), clocks(law), &law.reminders)
}

/// The premium as it stands: of a policy that has lapsed by time alone, without what is not asked for any longer.
pub(crate) fn standing_premium(found: &policy::Found, living: &Living) -> Result<Premium, Error> {
    let premium = premium_of(found)?;
    match living.state {
        PolicyState::Lapsed { on, .. } if found.policy.state == "ACTIVE" => {
            let books = books(found)?;
            Ok(agreed(&premium, &books.agreement.lapsed(on, books.refunded)))
        }
        _ => Ok(premium),
    }
}

fn living(active: PolicyState, standing: Standing) -> Result<Living, Error> {
    let refused = |_| Error::from(StoreError::Corrupt("policy.state"));
    let (state, cover_ends) = match standing {
        Standing::InForce => (active, None),
        Standing::InGrace { until, cover_ends } => {
            (active.after(LifeEvent::Overdue { until }).map_err(refused)?, Some(cover_ends))
        }
        Standing::Lapsed { cover_ends } => {
            let overdue = active.after(LifeEvent::Overdue { until: cover_ends }).map_err(refused)?;
            (overdue.after(LifeEvent::GraceOver { on: cover_ends }).map_err(refused)?, Some(cover_ends))
        }
        Standing::TermOver { cover_ends } => {
            (active.after(LifeEvent::TermOver { on: cover_ends }).map_err(refused)?, None)
        }
    };
    Ok(Living { state, cover_ends })
}

/// The premium as it is agreed by now.
pub(crate) fn premium_of(found: &policy::Found) -> Result<Premium, Error> {
    let changed = found.terms.last().and_then(|term| term.premium.as_deref());
    Ok(quote::premium(changed.unwrap_or(&found.quote.premium))?)
}

/// The books of the policy's last term.
pub(crate) fn books(found: &policy::Found) -> Result<Books, Error> {
    let term = found.terms.last().ok_or(StoreError::Corrupt("a policy without a term"))?;
    let days =
        DateRange::new(term.starts_on, term.ends_on).map_err(|_| StoreError::Corrupt("policy_term"))?;
    let first = found.terms.first().map(|term| term.id);
    let of_term = |row: &&RefundRow| row.term_id.or(first) == Some(term.id);
    let back = |amount: fn(&RefundRow) -> i64| found.refunds.iter().filter(of_term).map(amount).sum();
    let paid = found.receipts.iter().filter(|row| row.quote_id == found.quote.id).count();
    Ok(Books {
        agreement: agreement(&premium_of(found)?, days, paid),
        refunded: Amount { net: back(|row| row.net), tax: back(|row| row.tax) },
        term: days,
    })
}

fn agreement(premium: &Premium, term: DateRange, paid: usize) -> Agreement {
    let part = |member: &MemberPremium| Part {
        person: member.person,
        net: member.net,
        days: member.days.unwrap_or(term),
    };
    let due = |instalment: &Instalment| Due {
        number: instalment.number,
        due: instalment.due,
        amount: Amount { net: instalment.amount - instalment.tax, tax: instalment.tax },
    };
    Agreement {
        parts: premium.members.iter().map(part).collect(),
        tax: premium.tax,
        retained: premium.retained,
        schedule: premium.instalments.iter().map(due).collect(),
        paid: paid.min(premium.instalments.len()),
    }
}

/// The premium as an agreement has it by now: members' parts in their order, who joined behind them.
pub(crate) fn agreed(before: &Premium, agreement: &Agreement) -> Premium {
    let member = |(place, part): (usize, &Part)| MemberPremium {
        person: part.person,
        gross: before.members.get(place).map_or(part.net, |member| member.gross),
        net: part.net,
        days: Some(part.days),
    };
    let instalment = |due: &Due| Instalment {
        number: due.number,
        due: due.due,
        amount: due.amount.total(),
        tax: due.amount.tax,
    };
    let net = agreement.premium();
    Premium {
        members: agreement.parts.iter().enumerate().map(member).collect(),
        gross: net + before.discount,
        discount: before.discount,
        net,
        tax: agreement.tax,
        total: agreement.net() + agreement.tax,
        retained: agreement.retained,
        instalments: agreement.schedule.iter().map(instalment).collect(),
    }
}
