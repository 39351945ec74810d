//! Whether a member is covered for a benefit on a day, and every reason why not; and who may be a member at all.
//!
//! Entry points: [`accounts_asked`], [`answer`], [`family_breaches`]. Pure. "Not eligible" is an answer, not an error.

mod answer;
mod family;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Ineligible, Question, accounts_asked, answer};
pub use family::{FamilyBreach, family_breaches};
