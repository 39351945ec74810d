//! Premium tables of a plan version: rates by age band, sum insured and composition; loadings, discounts, charges.
//!
//! All rates are for a whole term, without tax, in minor units. What is made of them is in `domain::premium`.

use caremesh_kernel::Bps;
use serde::{Deserialize, Serialize};

use super::people::Relation;

/// Ages in completed years, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeBand {
    /// Youngest age.
    pub from: u32,
    /// Oldest age.
    pub to: u32,
}

impl AgeBand {
    /// Whether the age lies in the band.
    #[must_use]
    pub fn contains(self, age: u32) -> bool {
        self.from <= age && age <= self.to
    }
}

/// The premium of one member of that age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRate {
    /// Ages at the start of the term.
    pub ages: AgeBand,
    /// For this sum insured, minor units.
    pub sum_insured_minor: i64,
    /// Only for these relations; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Relation>,
    /// Premium of the member for a term, minor units.
    pub premium_minor: i64,
}

/// The premium of a whole family by its eldest member; shared equally between its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRate {
    /// Age of the eldest member at the start of the term.
    pub eldest: AgeBand,
    /// For this sum insured, minor units.
    pub sum_insured_minor: i64,
    /// Adults.
    pub adults: u32,
    /// Children.
    pub children: u32,
    /// Premium of the family for a term, minor units.
    pub premium_minor: i64,
}

/// A surcharge on a member's premium. All that apply to a member are one factor, rounded once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loading {
    /// Id within the plan version.
    pub id: String,
    /// On top of the premium; may exceed 10,000.
    pub bps: u32,
    /// Prefixes of declared conditions; applies if one was declared. All members if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Only for these relations; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Relation>,
}

/// A discount on the family's sum. All that apply are one factor, taken once on the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// Id within the plan version.
    pub id: String,
    /// Off the sum.
    pub bps: Bps,
    /// From this number of members on.
    #[serde(default)]
    pub min_members: u32,
    /// Up to this number of members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_members: Option<u32>,
}

/// One way to pay in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalmentPlan {
    /// Number of instalments in the term, 1 to 12; 1 is the whole at once.
    pub count: u32,
    /// Months between due dates.
    pub months_apart: u32,
}

/// A charge that is not given back on cancellation: a medical test, stamp duty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetainedCharge {
    /// Id within the plan version.
    pub id: String,
    /// Minor units per policy.
    pub amount_minor: i64,
}

/// What cover costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PremiumRules {
    /// Kind of cover for premium tax, `HEALTH_INDIVIDUAL`.
    pub tax_kind: String,
    /// Rates per member. Exactly one of `members` and `families` is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRate>,
    /// Rates per family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<FamilyRate>,
    /// Surcharges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loadings: Vec<Loading>,
    /// Discounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Ways to pay.
    pub instalments: Vec<InstalmentPlan>,
    /// What a cancellation retains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained_charges: Vec<RetainedCharge>,
}
