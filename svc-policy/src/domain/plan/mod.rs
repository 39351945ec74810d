//! Plans as data: what a plan version says, read from TOML, validated once, never changed after.
//!
//! Entry points: [`PlanVersion::from_toml`], [`Jurisdiction::from_toml`] and [`Catalogue`]. Knows nothing of
//! members, balances or prices, and reads no file: the texts are arguments.

mod accounts;
mod catalogue;
mod check;
mod costs;
mod digest;
mod error;
mod jurisdiction;
mod people;
mod premiums;
#[cfg(test)]
mod tests;
mod version;
mod when;

pub use accounts::{AccountRule, Bonus, CountPer, Limit, PercentBase, Period, Restoration};
pub use catalogue::{BUILT_IN, Catalogue};
pub use costs::{
    Basis, Copay, Deductible, Exclusion, Expansion, FixedBenefit, FixedPer, OutOfPocket, RoomRule,
    SatisfiedBy, SubLimit, Waiting, WaitingKind,
};
pub use error::PlanError;
pub use jurisdiction::{Jurisdiction, PremiumTax, ReminderRules};
pub use people::{FamilyRules, MemberGroup, Relation, RelationRule, Underwriting};
pub use premiums::{
    AgeBand, Discount, FamilyRate, InstalmentPlan, Loading, MemberRate, PremiumRules, RetainedCharge,
};
pub use version::{Benefit, Carrier, CrossingRule, PlanVersion, Step, SumInsuredScope};
pub(crate) use when::Circumstance;
pub use when::{EventKind, LineKind, Network, When};
