//! An offer: a premium for a family on a plan version, good until an instant.

use caremesh_kernel::{Date, DateRange, Money, PersonId, PlanVersionId, PolicyId, QuoteId, Timestamp, Zone};
use serde::{Deserialize, Serialize};

use crate::domain::life::Ported;
use crate::domain::plan::Relation;

/// How long an offer is good, in milliseconds: 14 days, and never beyond the day on which cover would start.
const GOOD_FOR_MS: i64 = 14 * 24 * 3_600 * 1_000;

/// Where a quote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteState {
    /// Can be bought.
    Quoted,
    /// Was bought, and became this policy.
    Accepted(PolicyId),
    /// Its time is over.
    Expired,
}

/// One person of the family that is to be covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteMember {
    /// Who.
    pub person: PersonId,
    /// Relation to the policyholder.
    pub relation: Relation,
    /// ICD-10 codes of declared conditions.
    pub declared: Vec<String>,
}

/// A premium and how it came about; minor units of the plan's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Premium {
    /// Each member's part, in the order of the members.
    pub members: Vec<MemberPremium>,
    /// Sum of the table premiums with loadings.
    pub gross: i64,
    /// The family's discount, taken once on the sum.
    pub discount: i64,
    /// `gross` less `discount`.
    pub net: i64,
    /// Premium tax on `net`.
    pub tax: i64,
    /// What is due in all.
    pub total: i64,
    /// What is kept besides premium for days of cover, once cancelled: charges, and plan money that a refund netted.
    #[serde(default)]
    pub retained: i64,
    /// The parts in which it is paid; they add up to `total` and what was given back.
    pub instalments: Vec<Instalment>,
}

/// A member's part of a premium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPremium {
    /// Whose.
    pub person: PersonId,
    /// From the table, with loadings.
    pub gross: i64,
    /// After the member's part of the discount.
    pub net: i64,
    /// The days that it pays for; the whole term if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<DateRange>,
}

/// One payment of a premium schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instalment {
    /// 1 for the first.
    pub number: u32,
    /// When it is due, in the policy's zone.
    pub due: Date,
    /// How much, tax included.
    pub amount: i64,
    /// The tax in it.
    #[serde(default)]
    pub tax: i64,
}

/// An offer as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Its id.
    pub id: QuoteId,
    /// The plan version that would be bought.
    pub plan_version: PlanVersionId,
    /// Who would hold the policy.
    pub policyholder: PersonId,
    /// Who would be covered, in the order of the request.
    pub members: Vec<QuoteMember>,
    /// The sum insured.
    pub sum_insured: Money,
    /// What it waits for: `NEEDED` until an underwriter accepts it, then `ACCEPTED`; none where nobody need look.
    pub review: Option<String>,
    /// Cover with another insurer that it goes on from.
    pub prior: Option<Ported>,
    /// First day of cover.
    pub start: Date,
    /// What it costs.
    pub premium: Premium,
    /// The first instant at which it can no longer be bought.
    pub expires: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// The policy it became.
    pub policy: Option<PolicyId>,
    /// Rises with every change.
    pub version: i64,
}

impl Quote {
    /// Where it stands at an instant. The instant of expiry is already too late.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> QuoteState {
        match self.policy {
            Some(policy) => QuoteState::Accepted(policy),
            None if now >= self.expires => QuoteState::Expired,
            None => QuoteState::Quoted,
        }
    }
}

/// When an offer ends: so that nobody can pay today for cover that began yesterday (INV-P6), never later than the end of
/// the start date in the policy's zone.
#[must_use]
pub fn expiry(created: Timestamp, start: Date, zone: &Zone) -> Timestamp {
    created.plus_ms(GOOD_FOR_MS).min(zone.start_of(start.plus_days(1)))
}
