//! Benefit accounts, their layers, and the legs and grants that move them: the words engine and ledger share.
//!
//! Source: section 2 of the ledger rules. Knows neither how a price comes about (engine) nor what a posting may
//! do (ledger), and nothing of rows or wire.

mod movement;
#[cfg(test)]
mod tests;

pub use movement::{CauseId, Grant, Leg, PriorDraw, Snapshot};

use std::fmt;

use caremesh_kernel::{AccountId, Currency, Date, DateRange, LayerId, TermId, Uuid};
use serde::{Deserialize, Serialize};

/// What an account counts. Money in minor units of its currency; counts and days are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Measure {
    /// Money the insurer pays.
    PlanPaid,
    /// Money the family pays as cost share (deductible and co-pay): fills out-of-pocket maxima.
    MemberPaid,
    /// Money that satisfies a deductible.
    Deductible,
    /// Money allowed before cost share.
    Allowed,
    /// Events: a consultation, a fill.
    Count,
    /// Days: of a stay, of hospital cash.
    Days,
}

impl Measure {
    /// The name in contract, plan file and database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlanPaid => "PLAN_PAID",
            Self::MemberPaid => "MEMBER_PAID",
            Self::Deductible => "DEDUCTIBLE",
            Self::Allowed => "ALLOWED",
            Self::Count => "COUNT",
            Self::Days => "DAYS",
        }
    }

    /// Whether the amounts are money.
    #[must_use]
    pub const fn is_money(self) -> bool {
        !matches!(self, Self::Count | Self::Days)
    }
}

/// Who or what shares one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScopeKind {
    /// One member; scope id: the member id.
    Member,
    /// All members of the policy; scope id: [`FAMILY_SCOPE`].
    Family,
    /// A named group of members, as the parents' pool; scope id: the group's code in the plan.
    MemberGroup,
    /// One visit or order; scope id: the event id.
    Visit,
    /// One illness of one member; scope id: member id and the opaque cause, or the event where no cause is known.
    Illness,
    /// One procedure of one event; scope id: the event id and the procedure's reference.
    Procedure,
    /// One claim, that is everything under one event; scope id: the event id.
    Claim,
}

impl ScopeKind {
    /// The name in contract, plan file and database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "MEMBER",
            Self::Family => "FAMILY",
            Self::MemberGroup => "MEMBER_GROUP",
            Self::Visit => "VISIT",
            Self::Illness => "ILLNESS",
            Self::Procedure => "PROCEDURE",
            Self::Claim => "CLAIM",
        }
    }
}

/// The scope id of an account that the whole family shares.
pub const FAMILY_SCOPE: &str = "family";

/// For which period an account counts. It follows from the event date, never from today.
///
/// `2026-11-21` a day, `2026-11` a month, `Y1` a policy year, `R:24M:2025-04-01` a rolling window by length and
/// first day, `T` the term, `L` a lifetime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeriodKey(pub String);

impl PeriodKey {
    /// The day itself.
    #[must_use]
    pub fn day(date: Date) -> Self {
        Self(date.to_string())
    }

    /// The calendar month of the day.
    #[must_use]
    pub fn month(date: Date) -> Self {
        Self(format!("{:04}-{:02}", date.year(), date.month()))
    }

    /// The policy year, counted from 1.
    #[must_use]
    pub fn policy_year(number: u32) -> Self {
        Self(format!("Y{number}"))
    }

    /// A window of `months` months from `start` on.
    #[must_use]
    pub fn rolling(months: u32, start: Date) -> Self {
        Self(format!("R:{months}M:{start}"))
    }

    /// The whole term.
    #[must_use]
    pub fn term() -> Self {
        Self("T".to_owned())
    }

    /// Over all terms of the policy.
    #[must_use]
    pub fn lifetime() -> Self {
        Self("L".to_owned())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeriodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens to a spend that no longer fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WhenFull {
    /// The line gets nothing at all.
    Refuse,
    /// The line gets what is left.
    Cut,
    /// The account stops filling and limits nothing further: deductibles and out-of-pocket maxima.
    StopTaking,
}

impl WhenFull {
    /// The name in contract, plan file and database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "REFUSE",
            Self::Cut => "CUT",
            Self::StopTaking => "STOP_TAKING",
        }
    }
}

/// Why a layer was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LayerKind {
    /// The limit as bought at term start.
    Base,
    /// A later increase of the sum insured, with waiting clocks of its own.
    Increase,
    /// A no-claim bonus.
    Bonus,
    /// A refill after exhaustion.
    Restored,
    /// What was left of an earlier period.
    Rollover,
}

impl LayerKind {
    /// The name in contract, plan file and database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "BASE",
            Self::Increase => "INCREASE",
            Self::Bonus => "BONUS",
            Self::Restored => "RESTORED",
            Self::Rollover => "ROLLOVER",
        }
    }
}

/// Namespace of the ids of accounts and layers. Never to change: the ids of every ledger hang on it.
const LEDGER_NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_5d8a_9b1e_4c53_8a57_2d34_91c7_e0b6);

/// What makes an account this account. Its id follows from it, so that an account has an identity before its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountKey {
    /// Policy term; for lifetime and rolling periods the policy's first term.
    pub term: TermId,
    /// Code of the account in the plan version.
    pub code: String,
    /// What it counts.
    pub measure: Measure,
    /// Who shares it.
    pub scope_kind: ScopeKind,
    /// Which of those; opaque.
    pub scope_id: String,
    /// For which period.
    pub period: PeriodKey,
    /// Currency of the term, also where counts or days are measured.
    pub currency: Currency,
}

impl AccountKey {
    /// The id: UUIDv5 of the key's parts in their order here.
    #[must_use]
    pub fn id(&self) -> AccountId {
        AccountId::derive(
            LEDGER_NAMESPACE,
            &[
                &self.term.to_string(),
                &self.code,
                self.measure.name(),
                self.scope_kind.name(),
                &self.scope_id,
                self.period.as_str(),
                self.currency.code(),
            ],
        )
    }
}

/// What makes a layer this layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerKey {
    /// Its account.
    pub account: AccountId,
    /// Why it was granted.
    pub kind: LayerKind,
    /// Which of that kind, from 0: the second increase is 1.
    pub ordinal: u16,
}

impl LayerKey {
    /// The id: UUIDv5 of account, kind and ordinal.
    #[must_use]
    pub fn id(&self) -> LayerId {
        LayerId::derive(
            LEDGER_NAMESPACE,
            &[&self.account.to_string(), self.kind.name(), &self.ordinal.to_string()],
        )
    }
}

/// One layer of an account's limit, with what is taken from it. All amounts in the account's measure, none negative.
///
/// Invariant INV-P1: `reserved + used <= granted + overdrawn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Id; follows from the key.
    pub id: LayerId,
    /// Which layer it is.
    pub key: LayerKey,
    /// How much was granted.
    pub granted: i64,
    /// Held and not yet captured.
    pub reserved: i64,
    /// Captured.
    pub used: i64,
    /// By how much a later lowering left it below its use; only ever written together with a recovery.
    pub overdrawn: i64,
    /// Event dates for which it may be drawn.
    pub valid: DateRange,
    /// Start of its own waiting clocks.
    pub waiting_from: Date,
    /// Place in the draw order, lower first; ties by kind and ordinal.
    pub draw_order: i32,
}

impl Layer {
    /// A fresh layer that nobody has drawn.
    #[must_use]
    pub fn fresh(key: LayerKey, granted: i64, valid: DateRange, waiting_from: Date, draw_order: i32) -> Self {
        Self {
            id: key.id(),
            key,
            granted,
            reserved: 0,
            used: 0,
            overdrawn: 0,
            valid,
            waiting_from,
            draw_order,
        }
    }

    /// What can still be drawn; never negative.
    #[must_use]
    pub fn room(&self) -> i64 {
        (self.granted - self.reserved - self.used).max(0)
    }
}

/// A benefit account as it was read, layers in draw order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Which account it is.
    pub key: AccountKey,
    /// Rises with every posting; 0 while there is no row yet.
    pub version: i64,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// Its layers.
    pub layers: Vec<Layer>,
}

impl Account {
    /// The id; follows from the key.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.key.id()
    }

    /// Puts the layers into draw order.
    pub fn sort_layers(&mut self) {
        self.layers.sort_by_key(|layer| (layer.draw_order, layer.key.kind, layer.key.ordinal));
    }
}
