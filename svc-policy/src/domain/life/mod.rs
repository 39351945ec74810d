//! The life of a policy after its purchase: what is agreed to be paid and how endorsements move it, where a policy stands
//! by time alone, and what may be changed from when. Pure: days and instants are arguments. It knows no table.

mod agreement;
mod bonus;
mod change;
mod nominees;
mod plan_change;
mod portability;
mod reminder;
mod spending;
mod standing;
mod sum_insured;

pub use agreement::{Agreement, Amount, Change, Due, Ending, Part};
pub use bonus::next_bonus;
pub use change::{
    CancelReason, ChangeRefusal, EndorsementKind, RemoveReason, check_addition, check_cancellation,
    check_from, check_removal, check_renewal, newborn_start, renews,
};
pub use nominees::{BankAccount, Nominee, NomineesRefused, check_nominees};
pub use plan_change::{check_family, check_plan_change};
pub use portability::{NotCredited, Ported, PriorCover};
pub use reminder::{Reminder, ReminderKind, reminders};
pub use spending::money_accounts;
pub use standing::{Clocks, Standing, standing};
pub use sum_insured::{carried, lowered, moratorium_ends, raised, sum_on, without_bonus};

#[cfg(test)]
mod tests;
