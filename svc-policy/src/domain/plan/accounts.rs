//! Account rules: what is counted, for whom, over which period, up to which limit, and when it is refilled.

use serde::{Deserialize, Serialize};

use crate::domain::account::{Measure, ScopeKind, WhenFull};

/// Over which period an account counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Period {
    /// A day in the policy's zone.
    Day,
    /// A calendar month.
    Month,
    /// A policy year, counted from the start of the term.
    PolicyYear,
    /// The policy term.
    Term,
    /// All terms of the policy together.
    Lifetime,
    /// Windows of that many months, one after the other, from the start of continuous cover on.
    RollingMonths(u32),
}

/// Which part of the sum insured a percentage is taken of. Increases belong to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PercentBase {
    /// Base with increases.
    Base,
    /// Base with increases and bonus.
    BasePlusBonus,
    /// Every layer.
    AllLayers,
    /// Base with increases of the member's own sum insured.
    MemberBase,
}

/// The limit of an account, in the account's measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum Limit {
    /// A fixed number: minor units, times or days.
    Amount(i64),
    /// The sum insured itself, layer by layer.
    SumInsured,
    /// A share of the sum insured, resolved half-up to minor units once.
    Percent {
        /// Basis points; may exceed 10,000 (a limit of twice the sum insured).
        bps: u32,
        /// Share of what.
        base: PercentBase,
        /// Never more than this, minor units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most_minor: Option<i64>,
    },
    /// No limit: the account only counts.
    Unlimited,
}

/// What is one time, for an account that counts times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CountPer {
    /// The event, however many lines or shipments: a consultation, a fill.
    #[default]
    Event,
    /// Each line as often as it says: sessions of a therapy.
    Line,
}

/// A refill after exhaustion (rule R7 unless the plan says otherwise).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restoration {
    /// Id within the plan version; grants name it.
    pub id: String,
    /// Share of base with increases that is granted; 10,000 is all of it.
    #[serde(default = "all_of_it")]
    pub bps: u32,
    /// How often in a term; R7 says once.
    #[serde(default = "once")]
    pub times: u16,
    /// Whether the same member may use it for a related cause; R7 says no.
    #[serde(default)]
    pub related_cause: bool,
}

fn all_of_it() -> u32 {
    10_000
}

fn once() -> u16 {
    1
}

/// The bonus of a term without a claim: shares of what is bought, in basis points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bonus {
    /// What a term without a claim adds to the next one's sum insured.
    pub per_term_bps: u32,
    /// The most that it can come to.
    pub at_most_bps: u32,
    /// What a term with a claim takes off it.
    pub lost_bps: u32,
}

/// One counter of a plan: for each scope and period an account of it is opened on first touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRule {
    /// Code within the plan version, `FAMILY_POOL`.
    pub code: String,
    /// What a member reads.
    pub name: String,
    /// What is counted.
    pub measure: Measure,
    /// Who shares one account.
    pub scope: ScopeKind,
    /// Over which period.
    pub period: Period,
    /// Up to which limit.
    pub limit: Limit,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// For measure COUNT: what one time is.
    #[serde(default)]
    pub count_per: CountPer,
    /// Refill after exhaustion, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restoration: Option<Restoration>,
}

impl AccountRule {
    /// Whether a price needs to know which events have drawn on it before: for a restoration rule, or so that an
    /// event is counted once.
    #[must_use]
    pub fn asks_for_draws(&self) -> bool {
        self.restoration.is_some() || (self.measure == Measure::Count && self.count_per == CountPer::Event)
    }
}
