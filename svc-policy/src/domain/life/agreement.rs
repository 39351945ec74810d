//! What is agreed to be paid for a term, and how endorsements move it (rule R10). Net of tax, tax beside it, both in minor
//! units. INV-P5 at every step: received − refunded + receivable = earned + unearned + retained.

use caremesh_kernel::{Bps, Date, DateRange, PersonId, half_up, split_largest_remainder};

use crate::domain::premium::earned;

/// A sum of money: net, and the tax on it. Minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Without tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
}

impl Amount {
    /// Net and tax together.
    #[must_use]
    pub fn total(self) -> i64 {
        self.net + self.tax
    }

    fn plus(self, other: Self) -> Self {
        Self { net: self.net + other.net, tax: self.tax + other.tax }
    }

    fn minus(self, other: Self) -> Self {
        Self { net: self.net - other.net, tax: self.tax - other.tax }
    }
}

/// A member's part of the premium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose.
    pub person: PersonId,
    /// Without tax, minor units.
    pub net: i64,
    /// The days that it pays for.
    pub days: DateRange,
}

/// One payment of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// 1 for the first; never given twice in a term.
    pub number: u32,
    /// When it is due.
    pub due: Date,
    /// How much.
    pub amount: Amount,
}

/// The premium of a term as it is agreed by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// What each member's cover costs.
    pub parts: Vec<Part>,
    /// Tax on everything that is agreed, minor units.
    pub tax: i64,
    /// What the insurer keeps besides premium for days of cover, net: charges, and plan money that a refund netted.
    pub retained: i64,
    /// The payments: those received first, in their order, then those to come.
    pub schedule: Vec<Due>,
    /// How many of them are received.
    pub paid: usize,
}

/// What a cancellation is settled on; minor units, none negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// First day without cover.
    pub effective: Date,
    /// Charges that the plan retains.
    pub charges: i64,
    /// Plan money used.
    pub used: i64,
    /// Plan money held for events before the effective date.
    pub held: i64,
    /// What was given back before.
    pub refunded: Amount,
}

/// What a change of cover makes dearer or cheaper; minor units.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// What each member pays more, or below zero less, for the days that are left.
    pub shares: &'c [(PersonId, i64)],
    /// The rates of tax on what is more.
    pub rates: &'c [Bps],
    /// The first day of the change.
    pub from: Date,
    /// The first day after the term.
    pub until: Date,
    /// When what is more is due.
    pub due: Date,
}

impl Agreement {
    /// What is agreed, net: parts and what is retained.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.premium() + self.retained
    }

    /// What is agreed for cover, net.
    #[must_use]
    pub fn premium(&self) -> i64 {
        self.parts.iter().map(|part| part.net).sum()
    }

    /// What of the premium is earned before a day.
    #[must_use]
    pub fn earned(&self, before: Date) -> i64 {
        self.parts.iter().map(|part| earned(part.net, part.days, before)).sum()
    }

    /// What was received.
    #[must_use]
    pub fn received(&self) -> Amount {
        sum(&self.schedule[..self.paid])
    }

    /// What is still to be paid.
    #[must_use]
    pub fn receivable(&self) -> Amount {
        sum(&self.schedule[self.paid..])
    }

    /// The next payment.
    #[must_use]
    pub fn next_due(&self) -> Option<Due> {
        self.schedule.get(self.paid).copied()
    }

    /// Whether the books are even (INV-P5): what came in, less what was given back, with what is to come, is what is agreed.
    #[must_use]
    pub fn is_even(&self, refunded: Amount) -> bool {
        let money = self.received().plus(self.receivable()).minus(refunded);
        money == Amount { net: self.net(), tax: self.tax }
    }

    /// A member joins: one payment more, due on a day.
    #[must_use]
    pub fn with(&self, part: Part, tax: i64, due: Date) -> Self {
        let mut next = self.clone();
        next.parts.push(part);
        next.tax += tax;
        next.owe(Amount { net: part.net, tax }, due);
        next
    }

    /// A member leaves from a day on: what is not earned is taken off the next payments, the next one first; what is left
    /// over is given back. Answers the agreement, the credit, and what of it is a refund.
    #[must_use]
    pub fn without(&self, person: PersonId, from: Date) -> (Self, Amount, Amount) {
        let mut next = self.clone();
        let mut net = 0;
        for part in next.parts.iter_mut().filter(|part| part.person == person) {
            let kept = earned(part.net, part.days, from);
            net += part.net - kept;
            (part.net, part.days) = (kept, until(part.days, from));
        }
        let credit = Amount { net, tax: share(net, self.tax, self.premium()) };
        next.tax -= credit.tax;
        let refund = next.credit(credit);
        (next, credit, refund)
    }

    /// Cover changes from a day on: each member pays so much more for the days that are left, or less. More is one payment
    /// more, due on a day, with the tax on it; less goes off the next payments, the next one first, and what is left over is
    /// given back. Answers the agreement, what the change adds to it, and what is a refund.
    #[must_use]
    pub fn changed(&self, change: &Change<'_>) -> (Self, Amount, Amount) {
        let mut next = self.clone();
        let mut net = 0;
        for (person, share) in change.shares {
            net += next.reprice(*person, *share, change);
        }
        if net >= 0 {
            let more = Amount { net, tax: change.rates.iter().map(|rate| rate.of(net)).sum() };
            next.tax += more.tax;
            if more.total() > 0 {
                next.owe(more, change.due);
            }
            return (next, more, Amount::default());
        }
        let credit = Amount { net: -net, tax: share(-net, self.tax, self.premium()) };
        next.tax -= credit.tax;
        let refund = next.credit(credit);
        (next, Amount { net, tax: -credit.tax }, refund)
    }

    /// Adds a member's share for the days that are left, or takes it off the parts that are not earned yet, the youngest
    /// first. Answers what it came to.
    fn reprice(&mut self, person: PersonId, share: i64, change: &Change<'_>) -> i64 {
        if share >= 0 {
            let days = DateRange::of_days(change.from, change.from.days_until(change.until).max(0));
            self.parts.extend((share > 0).then_some(Part { person, net: share, days }));
            return share;
        }
        let mut left = -share;
        for place in (0..self.parts.len()).rev() {
            let part = self.parts[place];
            if part.person != person || part.days.end() <= change.from {
                continue;
            }
            let kept = earned(part.net, part.days, change.from);
            let off = left.min(part.net - kept);
            left -= off;
            let rest = Part {
                net: part.net - kept - off,
                days: DateRange::of_days(
                    part.days.start().max(change.from),
                    part.days.start().max(change.from).days_until(part.days.end()),
                ),
                ..part
            };
            self.parts[place] = Part { net: kept, days: until(part.days, change.from), ..part };
            if part.days.start() < change.from {
                self.parts.push(rest);
            } else {
                self.parts[place] = rest;
            }
        }
        share + left
    }

    /// The policy ends. Answers what is agreed after it, and the refund: premium received less premium for days on cover,
    /// charges, and plan money used and held; never negative. The tax goes back in proportion.
    #[must_use]
    pub fn cancelled(&self, ending: &Ending) -> (Self, Amount) {
        let kept = self.received().minus(ending.refunded);
        let risk = self.earned(ending.effective);
        let net = (kept.net - risk - ending.charges - ending.used - ending.held).max(0);
        let refund = Amount { net, tax: share(net, kept.tax, kept.net) };
        let left = kept.minus(refund);
        let owed = (risk - left.net).max(0);
        let owing = Amount { net: owed, tax: share(owed, self.tax, self.net()) };
        let mut next = Self {
            parts: self.parts.iter().map(|part| ended(part, ending.effective)).collect(),
            tax: left.tax + owing.tax,
            retained: (left.net - risk).max(0),
            schedule: self.schedule[..self.paid].to_vec(),
            paid: self.paid,
        };
        if owing.total() > 0 {
            next.owe(owing, ending.effective);
        }
        (next, refund)
    }

    /// The policy lapses: what was not paid is not asked for any longer, and nothing goes back. Days of grace that were covered
    /// and not paid are the insurer's loss; what was paid beyond the days on cover is retained.
    #[must_use]
    pub fn lapsed(&self, from: Date, refunded: Amount) -> Self {
        let kept = self.received().minus(refunded);
        let mut parts: Vec<Part> = self.parts.iter().map(|part| ended(part, from)).collect();
        let earned: Vec<i64> = parts.iter().map(|part| part.net).collect();
        let risk: i64 = earned.iter().sum();
        if risk > kept.net {
            let shares = split_largest_remainder(kept.net, &earned);
            parts.iter_mut().zip(shares).for_each(|(part, share)| part.net = share);
        }
        Self {
            parts,
            tax: kept.tax,
            retained: (kept.net - risk).max(0),
            schedule: self.schedule[..self.paid].to_vec(),
            paid: self.paid,
        }
    }

    fn owe(&mut self, amount: Amount, due: Date) {
        let number = self.schedule.iter().map(|due| due.number).max().unwrap_or(0) + 1;
        self.schedule.push(Due { number, due, amount });
        self.schedule[self.paid..].sort_by_key(|due| (due.due, due.number));
    }

    /// Takes a credit off the payments to come; answers what is left of it.
    fn credit(&mut self, credit: Amount) -> Amount {
        let mut left = credit;
        for due in &mut self.schedule[self.paid..] {
            let off = Amount { net: left.net.min(due.amount.net), tax: left.tax.min(due.amount.tax) };
            due.amount = due.amount.minus(off);
            left = left.minus(off);
        }
        let paid = self.paid;
        let mut place = 0;
        self.schedule.retain(|due| {
            place += 1;
            place <= paid || due.amount.total() > 0
        });
        left
    }
}

fn sum(dues: &[Due]) -> Amount {
    dues.iter().fold(Amount::default(), |sum, due| sum.plus(due.amount))
}

/// `whole × part ÷ of`, half-up; nothing of nothing.
fn share(part: i64, whole: i64, of: i64) -> i64 {
    if of == 0 { 0 } else { half_up(whole, part, of) }
}

fn until(days: DateRange, end: Date) -> DateRange {
    let end = end.clamp(days.start(), days.end());
    DateRange::of_days(days.start(), days.start().days_until(end))
}

fn ended(part: &Part, effective: Date) -> Part {
    Part {
        net: earned(part.net, part.days, effective),
        days: until(part.days, effective),
        person: part.person,
    }
}
