//! Rules that say what is not paid, what the member pays, and which accounts a line spends from.

use caremesh_kernel::Bps;
use serde::{Deserialize, Serialize};

use super::accounts::Limit;
use super::when::When;

/// Which accounts a line spends from. The first expansion that applies decides; a line that none applies to is no
/// benefit of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expansion {
    /// Id within the plan version.
    pub id: String,
    /// For which lines.
    #[serde(default)]
    pub when: When,
    /// Pools in the order in which they are drawn. The accounts of one group are charged together with the same
    /// amount (a benefit's own pool and the sum insured above it); the next group takes what is left.
    pub pools: Vec<Vec<String>>,
    /// Accounts of times or days that the line uses up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<String>,
}

/// Which amount of a line a sub-limit bounds and accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Basis {
    /// What is allowed, before other payers and cost shares.
    Allowed,
    /// What is left after the deductible: plan share and co-pay together.
    AfterDeductible,
    /// What the plan pays.
    PlanPaid,
}

/// A limit inside the sum insured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubLimit {
    /// Id within the plan version.
    pub id: String,
    /// For which lines.
    #[serde(default)]
    pub when: When,
    /// Which amount it bounds.
    pub basis: Basis,
    /// The account that holds limit and use. ALLOWED and AFTER_DEDUCTIBLE use measure ALLOWED, PLAN_PAID its own;
    /// with basis ALLOWED also COUNT or DAYS.
    pub account: String,
}

/// Whose money satisfies a deductible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SatisfiedBy {
    /// The member's.
    #[default]
    Member,
    /// Anybody's: a top-up plan begins where the base plan ends.
    AnyPayer,
}

/// What the member pays before the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deductible {
    /// Id within the plan version.
    pub id: String,
    /// For which lines.
    #[serde(default)]
    pub when: When,
    /// Accounts of measure DEDUCTIBLE that it fills together; satisfied as soon as one of them is full (a member's
    /// and the family's).
    pub accounts: Vec<String>,
    /// Whose money satisfies it.
    #[serde(default)]
    pub satisfied_by: SatisfiedBy,
}

/// What the member pays beside the plan. The first rule that applies to a line decides.
///
/// Exactly one of `bps`, `fixed_minor` and `account` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copay {
    /// Id within the plan version.
    pub id: String,
    /// For which lines.
    #[serde(default)]
    pub when: When,
    /// The member's share of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<Bps>,
    /// With `bps`: never more than this per line, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_minor: Option<i64>,
    /// A fixed amount per line, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_minor: Option<i64>,
    /// A fixed amount per visit: an account of measure MEMBER_PAID and scope VISIT whose limit is the amount; used up
    /// line by line, once per event however many shipments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// The most a member pays as deductible and co-pay; what exceeds it moves to the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfPocket {
    /// Id within the plan version.
    pub id: String,
    /// For which lines.
    #[serde(default)]
    pub when: When,
    /// Accounts of measure MEMBER_PAID that it fills together; reached as soon as one of them is full.
    pub accounts: Vec<String>,
}

/// Which room rent is eligible. The first rule that applies to the room's line decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomRule {
    /// Id within the plan version.
    pub id: String,
    /// For which stays.
    #[serde(default)]
    pub when: When,
    /// Eligible rent per day: an amount or a share of the sum insured.
    pub per_day: Limit,
    /// Room categories that are eligible whatever they cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// What a waiting rule waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WaitingKind {
    /// Everything but accidents.
    Initial,
    /// The listed conditions.
    SpecificDisease,
    /// Conditions the member had before.
    PreExisting,
    /// Pregnancy and birth.
    Maternity,
}

/// A time during which something is not yet covered, from the start of continuous cover and for each layer from the
/// layer's own clock. Exactly one of `days` and `months` is given. An accident never waits for the initial period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Id within the plan version.
    pub id: String,
    /// What it waits for.
    pub kind: WaitingKind,
    /// For which lines: listed conditions for SPECIFIC_DISEASE, benefits for MATERNITY.
    #[serde(default)]
    pub when: When,
    /// Length in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Length in calendar months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<u32>,
}

/// Something the plan never covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Id within the plan version.
    pub id: String,
    /// What a member reads.
    pub name: String,
    /// For which lines; asks at least something.
    pub when: When,
}

/// Per what a fixed benefit pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FixedPer {
    /// Per day of the line.
    Day,
    /// Once per line.
    Event,
}

/// A benefit of a fixed amount beside the actual cost (hospital cash). No cut, cost share or other payer touches it;
/// its accounts come from its expansion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedBenefit {
    /// Id within the plan version.
    pub id: String,
    /// The benefit code of its lines.
    pub benefit: String,
    /// Minor units per day or event.
    pub amount_minor: i64,
    /// Per what.
    pub per: FixedPer,
    /// Days at the beginning of each stay that are not paid.
    #[serde(default)]
    pub skip_days: i64,
}
