//! What is priced: an insured event, its lines, and the facts of the member's cover.
//!
//! Facts only, as the owner of the event recorded them; no rule is applied here.

use caremesh_kernel::{Currency, Date, DateRange, EventId, MemberId, PolicyId, TermId};
use serde::{Deserialize, Serialize};

use crate::domain::account::{CauseId, LayerKind};
use crate::domain::plan::{EventKind, LineKind, Relation};

/// The insured event: an admission, a medication order, an appointment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Id, minted by the owner.
    pub id: EventId,
    /// What it is.
    pub kind: EventKind,
    /// Event date (R6): order, appointment or admission date, a day in the policy's zone.
    pub date: Date,
    /// For a stay: the day of discharge; not before `date`.
    #[serde(default)]
    pub discharge: Option<Date>,
    /// An emergency.
    #[serde(default)]
    pub emergency: bool,
    /// Caused by an accident.
    #[serde(default)]
    pub accident: bool,
    /// ICD-10 codes of what the member has. Read for waiting and exclusions; never part of a price.
    #[serde(default)]
    pub conditions: Vec<String>,
    /// Opaque relatedness of the illness.
    #[serde(default)]
    pub cause: Option<CauseId>,
    /// Whether the provider is in the plan's network.
    #[serde(default)]
    pub in_network: bool,
    /// Whether the provider bills differently by room category; only then do charges shrink with the room.
    #[serde(default)]
    pub differential_billing: bool,
    /// The plan's zone of the provider.
    #[serde(default)]
    pub zone: Option<String>,
    /// The claim, for accounts that are counted per claim; the event itself where absent.
    #[serde(default)]
    pub claim: Option<String>,
    /// What other payers paid without line detail, minor units, not negative.
    #[serde(default)]
    pub other_payer_minor: i64,
}

/// One line of a bill, an order or an appointment. Amounts in minor units of the term's currency, none negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Place in the claim or order, from 1, each once.
    pub sequence: u32,
    /// The plan's benefit code, `SURGERY`.
    pub benefit: String,
    /// What kind of charge it is.
    pub kind: LineKind,
    /// What is billed. Not read for a fixed benefit, which claims its own amount.
    pub billed_minor: i64,
    /// Agreed price for the line; zero is a price, absent is none.
    #[serde(default)]
    pub agreed_minor: Option<i64>,
    /// Times: visits, fills, sessions. 1 if absent.
    #[serde(default)]
    pub count: Option<i64>,
    /// Days the line is for. 1 if absent.
    #[serde(default)]
    pub days: Option<i64>,
    /// The line's own day, the first of `days`. Absent: it belongs to the whole event.
    #[serde(default)]
    pub date: Option<Date>,
    /// Room category.
    #[serde(default)]
    pub room_category: Option<String>,
    /// Part of `billed_minor` that is no payable item.
    #[serde(default)]
    pub non_payable_minor: i64,
    /// What another payer paid for this line.
    #[serde(default)]
    pub other_payer_minor: i64,
    /// The procedure, for limits per procedure; the line itself where absent.
    #[serde(default)]
    pub procedure: Option<String>,
    /// What was done or sold, a code of the owner's choice.
    #[serde(default)]
    pub code: Option<String>,
    /// Part of a capitation: the plan pays nothing for it.
    #[serde(default)]
    pub capitated: bool,
}

/// One layer of a sum insured as it was bought or granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverLayer {
    /// Why it was granted.
    pub kind: LayerKind,
    /// Which of that kind, from 0.
    pub ordinal: u16,
    /// How much, minor units.
    pub amount_minor: i64,
    /// Event dates for which it may be drawn.
    pub valid: DateRange,
    /// Start of its own waiting clocks.
    pub waiting_from: Date,
}

/// What an underwriter has excluded for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// Prefixes of ICD-10 codes.
    pub conditions: Vec<String>,
    /// The first day on which it counts no longer; for ever if absent.
    #[serde(default)]
    pub until: Option<Date>,
}

impl Excluded {
    /// Whether it is against an event with these conditions on a day.
    #[must_use]
    pub fn applies(&self, conditions: &[String], on: Date) -> bool {
        let named = |code: &String| self.conditions.iter().any(|prefix| code.starts_with(prefix.as_str()));
        self.until.is_none_or(|until| on < until) && conditions.iter().any(named)
    }
}

/// The member to whom the event happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveredMember {
    /// Id.
    pub id: MemberId,
    /// Relation to the policyholder.
    pub relation: Relation,
    /// Day of birth.
    pub birth: Date,
    /// Days on which the member is covered by this policy.
    pub covered: DateRange,
    /// Start of the member's continuous cover, with credit for earlier policies.
    pub continuous_since: Date,
    /// ICD-10 codes of declared pre-existing conditions.
    #[serde(default)]
    pub pre_existing: Vec<String>,
    /// The member's own sum insured, where the plan has one per member; the family's where empty.
    #[serde(default)]
    pub layers: Vec<CoverLayer>,
    /// What an underwriter has excluded for this member.
    #[serde(default)]
    pub excluded: Vec<Excluded>,
    /// Waiting periods are waived for this member (a newborn, where the plan says so).
    #[serde(default)]
    pub waiting_waived: bool,
}

/// The cover of one member in one segment of one term, as it was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cover {
    /// The policy.
    pub policy: PolicyId,
    /// The term.
    pub term: TermId,
    /// The policy's first term: lifetime and rolling accounts hang on it.
    pub first_term: TermId,
    /// Days of the term.
    pub term_range: DateRange,
    /// Days of the segment, within the term.
    pub segment: DateRange,
    /// Currency of the term.
    pub currency: Currency,
    /// Start of the policy's continuous cover.
    pub continuous_since: Date,
    /// The sum insured of the term, layer by layer.
    pub layers: Vec<CoverLayer>,
    /// The member.
    pub member: CoveredMember,
}

/// The part of a cover by which accounts open: what was bought, for whom and when. A posting knows it without any
/// person's key, because nothing of it is sealed: a rule of opening that asks for an age or a condition does not compile
/// until postings are told.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'c> {
    /// The term.
    pub term: TermId,
    /// The policy's first term: lifetime and rolling accounts hang on it.
    pub first_term: TermId,
    /// Days of the term.
    pub term_range: DateRange,
    /// Currency of the term.
    pub currency: Currency,
    /// Start of the policy's continuous cover.
    pub continuous_since: Date,
    /// The sum insured of the term, layer by layer.
    pub layers: &'c [CoverLayer],
    /// The member's own sum insured, the family's where there is none.
    pub member_layers: &'c [CoverLayer],
    /// The member.
    pub member: MemberId,
    /// Relation to the policyholder.
    pub relation: Relation,
}

impl Cover {
    /// What the opening of accounts may ask.
    #[must_use]
    pub fn ground(&self) -> Ground<'_> {
        Ground {
            term: self.term,
            first_term: self.first_term,
            term_range: self.term_range,
            currency: self.currency,
            continuous_since: self.continuous_since,
            layers: &self.layers,
            member_layers: self.member_layers(),
            member: self.member.id,
            relation: self.member.relation,
        }
    }

    /// The layers of the member's own sum insured, or the family's where there is none.
    #[must_use]
    pub fn member_layers(&self) -> &[CoverLayer] {
        if self.member.layers.is_empty() { &self.layers } else { &self.member.layers }
    }

    /// The earliest clock that any of the member's layers waits by.
    #[must_use]
    pub fn first_clock_of_member(&self) -> Date {
        let layers = self.member_layers().iter().map(|layer| layer.waiting_from);
        self.member.continuous_since.max(layers.min().unwrap_or(self.continuous_since))
    }

    /// Whether the member is covered on that day.
    #[must_use]
    pub fn covers(&self, day: Date) -> bool {
        self.segment.contains(day) && self.member.covered.contains(day)
    }
}
