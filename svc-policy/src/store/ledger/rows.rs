//! Rows of the ledger as they travel to and from the database: columns, nothing else. `convert.rs` gives them meaning.

use caremesh_kernel::{
    AccountId, Currency, Date, EventId, HoldId, LayerId, MemberId, PlanVersionId, PolicyId, PostingId, TermId,
};
use serde::{Deserialize, Serialize};

use crate::domain::account::{CauseId, LayerKind, Measure, PeriodKey, ScopeKind, WhenFull};
use crate::domain::plan::Relation;
use caremesh_db::sql::Column::{self, Number, Text};

/// `account`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub(super) id: AccountId,
    pub(super) term_id: TermId,
    pub(super) code: String,
    pub(super) measure: Measure,
    pub(super) scope_kind: ScopeKind,
    pub(super) scope_id: String,
    pub(super) period: PeriodKey,
    pub(super) currency: Currency,
    pub(super) when_full: WhenFull,
    pub(super) version: i64,
}

pub(super) const ACCOUNT: &[Column] = &[
    Text("id"),
    Text("term_id"),
    Text("code"),
    Text("measure"),
    Text("scope_kind"),
    Text("scope_id"),
    Text("period"),
    Text("currency"),
    Text("when_full"),
    Number("version"),
];

/// What happens to an account that has a row: the version it must be at, and by how much it rises (0: it was only
/// relied upon).
#[derive(Clone, Debug, Serialize)]
pub(super) struct AccountMove {
    pub(super) id: AccountId,
    pub(super) version: i64,
    pub(super) rise: i64,
}

pub(super) const ACCOUNT_MOVE: &[Column] = &[Text("id"), Number("version"), Number("rise")];

/// `layer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LayerRow {
    pub(super) id: LayerId,
    pub(super) account_id: AccountId,
    pub(super) kind: LayerKind,
    pub(super) ordinal: u16,
    pub(super) granted: i64,
    pub(super) reserved: i64,
    pub(super) used: i64,
    pub(super) overdrawn: i64,
    pub(super) valid_from: Date,
    pub(super) valid_until: Date,
    pub(super) waiting_from: Date,
    pub(super) draw_order: i32,
}

pub(super) const LAYER: &[Column] = &[
    Text("id"),
    Text("account_id"),
    Text("kind"),
    Number("ordinal"),
    Number("granted"),
    Number("reserved"),
    Number("used"),
    Number("overdrawn"),
    Text("valid_from"),
    Text("valid_until"),
    Text("waiting_from"),
    Number("draw_order"),
];

/// `posting`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PostingRow {
    pub(super) id: PostingId,
    pub(super) term_id: TermId,
    pub(super) service: String,
    pub(super) source: String,
    pub(super) revision: u32,
    pub(super) event_id: EventId,
    pub(super) event_date: Date,
    pub(super) member_id: MemberId,
    pub(super) cause_id: Option<CauseId>,
    pub(super) episode_id: Option<String>,
    pub(super) posted_at: i64,
}

pub(super) const POSTING: &[Column] = &[
    Text("id"),
    Text("term_id"),
    Text("service"),
    Text("source"),
    Number("revision"),
    Text("event_id"),
    Text("event_date"),
    Text("member_id"),
    Text("cause_id"),
    Text("episode_id"),
    Number("posted_at"),
];

/// `posting_line`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LineRow {
    pub(super) service: String,
    pub(super) source: String,
    pub(super) line: u32,
    pub(super) revision: u32,
    pub(super) kind: String,
    pub(super) part: u32,
    pub(super) posting_id: PostingId,
    pub(super) movement: u32,
}

pub(super) const LINE: &[Column] = &[
    Text("service"),
    Text("source"),
    Number("line"),
    Number("revision"),
    Text("kind"),
    Number("part"),
    Text("posting_id"),
    Number("movement"),
];

/// `posting_leg`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LegRow {
    pub(super) posting_id: PostingId,
    pub(super) number: u32,
    pub(super) kind: String,
    pub(super) movement: Option<u32>,
    pub(super) account_id: AccountId,
    pub(super) layer_id: LayerId,
    pub(super) line: u32,
    pub(super) hold_id: Option<HoldId>,
    pub(super) reverses: Option<PostingId>,
    pub(super) event_id: EventId,
    pub(super) event_date: Date,
    pub(super) member_id: MemberId,
    pub(super) cause_id: Option<CauseId>,
    pub(super) posted_at: i64,
    pub(super) granted: i64,
    pub(super) reserved: i64,
    pub(super) used: i64,
    pub(super) overdrawn: i64,
    pub(super) recovery: Option<String>,
    pub(super) rule_id: Option<String>,
}

pub(super) const LEG: &[Column] = &[
    Text("posting_id"),
    Number("number"),
    Text("kind"),
    Number("movement"),
    Text("account_id"),
    Text("layer_id"),
    Number("line"),
    Text("hold_id"),
    Text("reverses"),
    Text("event_id"),
    Text("event_date"),
    Text("member_id"),
    Text("cause_id"),
    Number("posted_at"),
    Number("granted"),
    Number("reserved"),
    Number("used"),
    Number("overdrawn"),
    Text("recovery"),
    Text("rule_id"),
];

/// `hold`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HoldRow {
    pub(super) id: HoldId,
    pub(super) term_id: TermId,
    pub(super) posting_id: PostingId,
    pub(super) service: String,
    pub(super) source: String,
    pub(super) event_id: EventId,
    pub(super) event_date: Date,
    pub(super) member_id: MemberId,
    pub(super) cause_id: Option<CauseId>,
    pub(super) posted_at: i64,
    pub(super) expires_at: i64,
    pub(super) state: String,
}

pub(super) const HOLD: &[Column] = &[
    Text("id"),
    Text("term_id"),
    Text("posting_id"),
    Text("service"),
    Text("source"),
    Text("event_id"),
    Text("event_date"),
    Text("member_id"),
    Text("cause_id"),
    Number("posted_at"),
    Number("expires_at"),
    Text("state"),
];

/// The state a hold goes to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HoldMove {
    pub(super) id: HoldId,
    pub(super) state: &'static str,
}

pub(super) const HOLD_MOVE: &[Column] = &[Text("id"), Text("state")];

/// `hold_leg`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HoldLegRow {
    pub(super) hold_id: HoldId,
    pub(super) account_id: AccountId,
    pub(super) layer_id: LayerId,
    pub(super) line: u32,
    pub(super) amount: i64,
    pub(super) captured: i64,
    pub(super) released: i64,
}

pub(super) const HOLD_LEG: &[Column] = &[
    Text("hold_id"),
    Text("account_id"),
    Text("layer_id"),
    Number("line"),
    Number("amount"),
    Number("captured"),
    Number("released"),
];

/// What a posting of the source captured and is not yet reversed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CapturedRow {
    pub(super) posting_id: PostingId,
    pub(super) account_id: AccountId,
    pub(super) layer_id: LayerId,
    pub(super) line: u32,
    pub(super) net: i64,
}

/// Who has drawn on an account, and still counts.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct DrawRow {
    pub(super) account: AccountId,
    pub(super) layer_kind: LayerKind,
    pub(super) event: EventId,
    pub(super) member: MemberId,
    pub(super) cause: Option<CauseId>,
}

/// The term, segment and cover that a member has on a day.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CoverRow {
    pub(super) policy_id: PolicyId,
    pub(super) policy_state: String,
    pub(super) policy_version: i64,
    pub(super) policy_due: Option<Date>,
    pub(super) person_id: caremesh_kernel::PersonId,
    pub(super) currency: Currency,
    pub(super) term_id: TermId,
    pub(super) first_term_id: TermId,
    pub(super) openings: i64,
    pub(super) term_state: String,
    pub(super) term_from: Date,
    pub(super) term_until: Date,
    pub(super) plan_version_id: PlanVersionId,
    pub(super) sum_insured: i64,
    pub(super) layers: Option<String>,
    pub(super) plans: Option<String>,
    pub(super) policy_since: Date,
    pub(super) relation: Relation,
    pub(super) cover_from: Date,
    pub(super) cover_until: Date,
}

/// Who may post next on a contended term.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TurnRow {
    pub(super) conflicts: i64,
    pub(super) mine: i64,
}

/// An id alone, as an item of a list parameter.
#[derive(Clone, Debug, Serialize)]
pub(super) struct IdRow<T> {
    pub(super) id: T,
}

pub(super) const ID: &[Column] = &[Text("id")];
