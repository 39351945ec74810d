//! What premium is earned by a day, what a cancellation gives back, and how a credit meets the next instalments.

use caremesh_kernel::{Date, DateRange, half_up};

use super::quote::Instalment;

/// What of a member's premium is earned before a day: by days gone of the actual term, half-up, minor units.
#[must_use]
pub fn earned(net_minor: i64, term: DateRange, before: Date) -> i64 {
    if term.is_empty() {
        return net_minor;
    }
    let gone = term.start().days_until(before).clamp(0, term.days());
    half_up(net_minor, gone, term.days())
}

/// One member's share of the premium and the days for which it bore risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRisk {
    /// Net premium of the member for `term`, minor units.
    pub net_minor: i64,
    /// Days that it pays for.
    pub term: DateRange,
}

/// What a cancellation is settled on. Tax is apart; all amounts in minor units, none negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Premium received, without tax.
    pub received_minor: i64,
    /// Shares of the members.
    pub members: Vec<MemberRisk>,
    /// First day without cover.
    pub effective: Date,
    /// Charges that the plan retains: medical tests, stamp duty.
    pub charges_minor: i64,
    /// Plan money used.
    pub used_minor: i64,
    /// Plan money held for events before the effective date.
    pub held_minor: i64,
}

impl Cancellation {
    /// Premium − risk premium for days on cover − charges − plan money used − plan money held before; never negative.
    #[must_use]
    pub fn refund(&self) -> i64 {
        let risk: i64 = self.members.iter().map(|m| earned(m.net_minor, m.term, self.effective)).sum();
        (self.received_minor - risk - self.charges_minor - self.used_minor - self.held_minor).max(0)
    }

    /// The second refund, once a hold that was netted releases some of its money: what the first would have been more.
    #[must_use]
    pub fn refund_after_release(&self, released_minor: i64) -> i64 {
        let released = released_minor.clamp(0, self.held_minor);
        let after = Self { held_minor: self.held_minor - released, ..self.clone() };
        after.refund() - self.refund()
    }
}

/// Takes the credit for a removed member off the next instalments due after a day, the next one first; what is left
/// over is to be paid out.
#[must_use]
pub fn credit_next_instalments(
    instalments: &[Instalment],
    after: Date,
    credit_minor: i64,
) -> (Vec<Instalment>, i64) {
    let mut left = credit_minor.max(0);
    let mut reduced = instalments.to_vec();
    for instalment in reduced.iter_mut().filter(|instalment| instalment.due >= after) {
        let taken = left.min(instalment.net_minor);
        instalment.net_minor -= taken;
        left -= taken;
    }
    (reduced, left)
}
