//! Medicines against each other and against what is known of the patient. What is not known is said, never taken for safe.
//! Knows no prescription, no store and no clock.

mod check;
mod finding;
mod reference;
mod substance;
#[cfg(test)]
mod tests;

pub use check::{Checked, HighRisk, check, unavailable};
pub use finding::{Check, Gap, GapKind, Issue, IssueKind, Severity};
pub use reference::{AgeRule, Allergen, Interaction, Profile, Reference};
pub use substance::{plain_name, substances};
