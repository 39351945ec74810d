//! What the tables of policies hold, row by row. It must not know how they are read or written.

use caremesh_kernel::{
    Currency, Date, DateRange, MemberId, PersonId, PlanId, PlanVersionId, PolicyId, QuoteId, TermId,
};
use serde::{Deserialize, Serialize};

use crate::domain::account::LayerKind;
use crate::domain::engine::CoverLayer;
use crate::domain::plan::Relation;
use crate::store::Error;
use crate::store::life::{EndorsementRow, RecoveryRow, RefundRow};
use crate::store::quote::{self, ReceiptRow};

/// A row of `policy`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: PolicyId,
    pub(crate) quote_id: QuoteId,
    pub(crate) plan_id: PlanId,
    pub(crate) policyholder: PersonId,
    pub(crate) state: String,
    pub(crate) zone: String,
    pub(crate) currency: Currency,
    pub(crate) lead_carrier: String,
    pub(crate) activated_at: Option<i64>,
    /// First day without cover, of a policy that has ended.
    pub(crate) ended_on: Option<Date>,
    /// The day on which time may change it: the worker looks at it then.
    pub(crate) acts_on: Option<Date>,
    /// When its first unpaid premium is due, while it is in force.
    #[serde(default)]
    pub(crate) due_on: Option<Date>,
    pub(crate) version: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A row of `policy_term`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TermRow {
    pub(crate) id: TermId,
    pub(crate) policy_id: PolicyId,
    pub(crate) number: i64,
    pub(crate) starts_on: Date,
    pub(crate) ends_on: Date,
    pub(crate) state: String,
    /// The premium as it is agreed by now, as JSON text; that of the quote while nothing has changed it.
    pub(crate) premium: Option<String>,
    /// The quote of a term after the first.
    #[serde(default)]
    pub(crate) quote_id: Option<QuoteId>,
    /// The sum insured layer by layer, as JSON text; one layer, the sum of the segment, while nothing has changed it.
    #[serde(default)]
    pub(crate) layers: Option<String>,
    /// Its segments with their plan versions, as JSON text, where there are several versions.
    #[serde(default)]
    pub(crate) plans: Option<String>,
    /// The term before, whose being without a claim gave this one a bonus.
    #[serde(default)]
    pub(crate) bonus_for: Option<TermId>,
}

/// Which plan version holds from when in a term: out of the column, or one for all of it.
pub(crate) fn plans_of(
    text: Option<&str>,
    version: PlanVersionId,
    term: DateRange,
) -> Result<Vec<(DateRange, PlanVersionId)>, Error> {
    text.map_or_else(
        || Ok(vec![(term, version)]),
        |text| serde_json::from_str(text).map_err(|_| Error::Corrupt("policy_term.plans")),
    )
}

/// The segments as they are stored; none where one version holds for all of them.
pub(crate) fn plans_text(plans: &[(DateRange, PlanVersionId)]) -> Result<Option<String>, Error> {
    if plans.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return Ok(None);
    }
    serde_json::to_string(plans).map(Some).map_err(|_| Error::Corrupt("policy_term.plans"))
}

/// The layers of a term's sum insured, out of the column: without one it is the sum of the segment, as it was bought, its
/// waiting clock the policy's first day.
pub(crate) fn layers_of(
    text: Option<&str>,
    sum_minor: i64,
    term: DateRange,
    since: Date,
) -> Result<Vec<CoverLayer>, Error> {
    if let Some(text) = text {
        return serde_json::from_str(text).map_err(|_| Error::Corrupt("policy_term.layers"));
    }
    let base = CoverLayer {
        kind: LayerKind::Base,
        ordinal: 0,
        amount_minor: sum_minor,
        valid: term,
        waiting_from: since,
    };
    Ok(vec![base])
}

/// The layers as they are stored.
pub(crate) fn layers_text(layers: &[CoverLayer]) -> Result<String, Error> {
    serde_json::to_string(layers).map_err(|_| Error::Corrupt("policy_term.layers"))
}

/// A row of `term_segment`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub(crate) term_id: TermId,
    pub(crate) starts_on: Date,
    pub(crate) ends_on: Date,
    pub(crate) plan_version_id: PlanVersionId,
    pub(crate) sum_insured: i64,
}

/// A row of `member`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    pub(crate) id: MemberId,
    pub(crate) policy_id: PolicyId,
    pub(crate) position: i64,
    pub(crate) person_id: PersonId,
    pub(crate) relation: Relation,
    pub(crate) starts_on: Date,
    pub(crate) ends_on: Date,
    pub(crate) continuous_from: Date,
    /// Why the cover ended before its time.
    pub(crate) end_reason: Option<String>,
    /// 1: waiting periods are waived.
    pub(crate) waiting_waived: i64,
    /// Hexadecimal text: day of birth and declared conditions.
    pub(crate) facts_sealed: String,
}

impl Found {
    /// The plan version of its last segment.
    pub(crate) fn plan_version(&self) -> PlanVersionId {
        self.segments.last().map_or(self.quote.plan_version_id, |segment| segment.plan_version_id)
    }
}

/// A policy with everything that hangs on it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) policy: Row,
    /// The quote of the last term.
    pub(crate) quote: quote::Row,
    /// Those of all terms, where the whole policy was asked for.
    pub(crate) quotes: Vec<quote::Row>,
    pub(crate) terms: Vec<TermRow>,
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) receipts: Vec<ReceiptRow>,
    pub(crate) endorsements: Vec<EndorsementRow>,
    pub(crate) refunds: Vec<RefundRow>,
    pub(crate) recoveries: Vec<RecoveryRow>,
}
