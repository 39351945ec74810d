//! What moves accounts, and what a price reads of them: snapshots, legs, grants.

use caremesh_kernel::{AccountId, Date, DateRange, EventId, MemberId, PlanVersionId};
use serde::{Deserialize, Serialize};

use super::{Account, AccountKey, LayerKey, LayerKind};

/// Relatedness of illnesses as an opaque keyed hash; no diagnosis enters the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CauseId(pub String);

/// That an event has drawn from an account before: what a restoration rule asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorDraw {
    /// The account.
    pub account: AccountId,
    /// Kind of the layer that was drawn.
    pub layer_kind: LayerKind,
    /// The event that drew.
    pub event: EventId,
    /// Whose event it was.
    pub member: MemberId,
    /// Cause of that event, where known.
    pub cause: Option<CauseId>,
}

/// Everything a price reads that postings can change. Stored with a decision, it gives the same price for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Plan version in force for the event.
    pub plan_version: PlanVersionId,
    /// Accounts, sorted by id; those without a row have version 0 and their opening layers.
    pub accounts: Vec<Account>,
    /// Draws (holds and captures, net of releases and reversals) on accounts that have a restoration rule.
    pub draws: Vec<PriorDraw>,
}

/// One movement on one layer, for one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// The account.
    pub account: AccountKey,
    /// The layer; belongs to that account.
    pub layer: LayerKey,
    /// How much, in the account's measure; positive.
    pub amount: i64,
    /// Sequence of the line that spends.
    pub line: u32,
}

/// A layer to be granted, once per account and rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The account that gets it.
    pub account: AccountKey,
    /// The layer; belongs to that account.
    pub layer: LayerKey,
    /// How much, in the account's measure; positive.
    pub amount: i64,
    /// Event dates for which it may be drawn.
    pub valid: DateRange,
    /// Start of its own waiting clocks.
    pub waiting_from: Date,
    /// Place in the draw order.
    pub draw_order: i32,
    /// The plan rule that grants it.
    pub rule: String,
}
