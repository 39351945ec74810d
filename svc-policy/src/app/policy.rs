//! A policy as it is answered: rows, plan and opened references put together.

use caremesh_db::keys::{Field, PersonKey};
use caremesh_kernel::{AccountId, EndorsementId, MemberId, PlanId, ReceiptId, RecoveryId, RefundId};
use caremesh_kernel::{
    Currency, Date, DateRange, Money, PersonId, PlanVersionId, PolicyId, QuoteId, TermId, Timestamp,
};

use super::life::standing_premium;
use super::{App, Error};
use crate::domain::account::Measure;
use crate::domain::engine::CoverLayer;
use crate::domain::life::{Amount, EndorsementKind, moratorium_ends};
use crate::domain::plan::{Carrier, Jurisdiction, Relation};
use crate::domain::policy::{PolicyState, Premium};
use crate::store::life::{EndorsementRow, RecoveryRow, RefundRow};
use crate::store::{Error as StoreError, policy, quote};

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Where it stands at `now`.
    pub state: PolicyState,
    /// The plan.
    pub plan: PlanId,
    /// Who holds it.
    pub policyholder: PersonId,
    /// The IANA zone of its days.
    pub zone: String,
    /// Currency of all its amounts.
    pub currency: Currency,
    /// Policy years, the first first.
    pub terms: Vec<Term>,
    /// Who is or was covered.
    pub members: Vec<Member>,
    /// What was agreed to be paid.
    pub premium: Premium,
    /// What was received.
    pub receipts: Vec<PremiumReceipt>,
    /// Who carries the risk.
    pub carriers: Vec<Carrier>,
    /// The quote of its last term.
    pub quote: QuoteId,
    /// How many payments of the last term were received.
    pub paid: usize,
    /// Rises with every change; the etag.
    pub version: i64,
    /// When it was bought.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Today in its zone.
    pub today: Date,
    /// How it was changed, the first change first.
    pub endorsements: Vec<Endorsement>,
    /// What was given back.
    pub refunds: Vec<Refund>,
    /// What was used beyond a limit that was lowered later.
    pub recoveries: Vec<Recovery>,
}

/// A change of a policy.
#[derive(Clone, Debug)]
pub struct Endorsement {
    /// Its id.
    pub id: EndorsementId,
    /// What it was.
    pub kind: EndorsementKind,
    /// From when it counts.
    pub effective: Date,
    /// Whom it was about.
    pub member: Option<MemberId>,
    /// What it added to the agreed premium, or took off.
    pub change: Amount,
    /// When it was made.
    pub made: Timestamp,
}

/// Premium that is given back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The change that it follows from.
    pub endorsement: EndorsementId,
    /// How much.
    pub amount: Amount,
    /// When it was decided.
    pub created: Timestamp,
}

/// Benefit that was used or held beyond a limit lowered later.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Its id.
    pub id: RecoveryId,
    /// The change that it follows from.
    pub endorsement: EndorsementId,
    /// The account.
    pub account: AccountId,
    /// What is counted.
    pub measure: Measure,
    /// How much, in that measure.
    pub amount: i64,
    /// When it was found.
    pub created: Timestamp,
}

/// A layer of the sum insured.
#[derive(Clone, Debug)]
pub struct SumLayer {
    /// What was bought or granted.
    pub layer: CoverLayer,
    /// Of each member who is covered on its days: since when waiting counts, and from when it is not contested any longer.
    pub clocks: Vec<(MemberId, Date, Option<Date>)>,
}

/// A policy year.
#[derive(Clone, Debug)]
pub struct Term {
    /// Its id.
    pub id: TermId,
    /// 1 for the first.
    pub number: i64,
    /// Its days.
    pub days: DateRange,
    /// `OPEN`, `RUN_OFF` or `CLOSED`.
    pub state: String,
    /// Which plan version holds from when, with which sum insured.
    pub segments: Vec<(DateRange, PlanVersionId, Money)>,
    /// The sum insured, layer by layer.
    pub layers: Vec<SumLayer>,
}

/// A covered person.
#[derive(Clone, Debug)]
pub struct Member {
    /// Id of the membership.
    pub id: MemberId,
    /// Who.
    pub person: PersonId,
    /// Relation to the policyholder.
    pub relation: Relation,
    /// Days of cover.
    pub cover: DateRange,
    /// Start of continuous cover.
    pub continuous_from: Date,
    /// Why the cover ended before its time.
    pub end_reason: Option<String>,
}

/// A premium that was received.
#[derive(Clone)]
pub struct PremiumReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// The payment provider's reference.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When the money was received.
    pub received: Timestamp,
}

impl std::fmt::Debug for PremiumReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PremiumReceipt").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where the sealed reference of a receipt is stored.
pub(crate) fn reference_field(row: &str) -> Field<'_> {
    Field { table: "receipt", column: "reference_sealed", row }
}

/// A receipt with its reference opened by the policyholder's key.
pub(crate) fn receipt(
    key: &PersonKey,
    currency: Currency,
    row: &quote::ReceiptRow,
) -> Result<PremiumReceipt, Error> {
    let sealed = hex::decode(&row.reference_sealed).map_err(|_| StoreError::Corrupt("receipt.reference"))?;
    let plain = key.open(reference_field(&row.id.to_string()), &sealed)?;
    let reference =
        String::from_utf8(plain.to_vec()).map_err(|_| StoreError::Corrupt("receipt.reference"))?;
    Ok(PremiumReceipt {
        id: row.id,
        reference,
        amount: Money::new(currency, row.amount),
        received: Timestamp::from_micros(row.received_at),
    })
}

impl App {
    /// Puts a policy together as it stands at an instant.
    pub(crate) fn policy(
        &self,
        found: policy::Found,
        key: &PersonKey,
        now: Timestamp,
    ) -> Result<Policy, Error> {
        let (plan, law) = self.plan_and_law(found.plan_version())?;
        let living = self.living(&found, now)?;
        let premium = standing_premium(&found, &living)?;
        let endorsements = found.endorsements.iter().map(endorsement).collect::<Result<_, _>>()?;
        let terms = found.terms.iter().map(|row| term(row, &found, law)).collect::<Result<_, _>>()?;
        let policy::Found { policy: row, quote, members, receipts, refunds, recoveries, .. } = found;
        let currency = row.currency;
        Ok(Policy {
            id: row.id,
            state: living.state,
            plan: row.plan_id,
            policyholder: row.policyholder,
            zone: row.zone,
            currency,
            terms,
            members: members.iter().map(member).collect::<Result<_, _>>()?,
            premium,
            receipts: receipts.iter().map(|row| receipt(key, currency, row)).collect::<Result<_, _>>()?,
            carriers: plan.carriers.clone(),
            paid: receipts.iter().filter(|row| row.quote_id == quote.id).count(),
            quote: quote.id,
            version: row.version,
            created: Timestamp::from_micros(row.created_at),
            updated: Timestamp::from_micros(row.updated_at),
            today: law.zone.day_of(now),
            endorsements,
            refunds: refunds.iter().map(refund).collect(),
            recoveries: recoveries.iter().map(recovery).collect(),
        })
    }
}

fn term(row: &policy::TermRow, found: &policy::Found, law: &Jurisdiction) -> Result<Term, Error> {
    let own: Vec<&policy::SegmentRow> =
        found.segments.iter().filter(|segment| segment.term_id == row.id).collect();
    let (currency, sum) = (found.policy.currency, own.last().map_or(0, |segment| segment.sum_insured));
    let (days, since) = (
        range(row.starts_on, row.ends_on)?,
        found.terms.first().map_or(row.starts_on, |first| first.starts_on),
    );
    let layers = policy::layers_of(row.layers.as_deref(), sum, days, since)?;
    let segment = |segment: &policy::SegmentRow| {
        let days = range(segment.starts_on, segment.ends_on)?;
        Ok::<_, Error>((days, segment.plan_version_id, Money::new(currency, segment.sum_insured)))
    };
    Ok(Term {
        id: row.id,
        number: row.number,
        days,
        state: row.state.clone(),
        segments: own.into_iter().map(segment).collect::<Result<_, _>>()?,
        layers: layers.into_iter().map(|layer| sum_layer(layer, &found.members, law)).collect(),
    })
}

fn sum_layer(layer: CoverLayer, members: &[policy::MemberRow], law: &Jurisdiction) -> SumLayer {
    let covered =
        members.iter().filter(|row| row.starts_on < layer.valid.end() && layer.valid.start() < row.ends_on);
    let clock = |row: &policy::MemberRow| {
        let ends = moratorium_ends(law, row.continuous_from, layer.waiting_from);
        (row.id, row.continuous_from.max(layer.waiting_from), ends)
    };
    let clocks = covered.map(clock).collect();
    SumLayer { layer, clocks }
}

fn member(row: &policy::MemberRow) -> Result<Member, Error> {
    Ok(Member {
        id: row.id,
        person: row.person_id,
        relation: row.relation,
        cover: range(row.starts_on, row.ends_on)?,
        continuous_from: row.continuous_from,
        end_reason: row.end_reason.clone(),
    })
}

fn endorsement(row: &EndorsementRow) -> Result<Endorsement, Error> {
    Ok(Endorsement {
        id: row.id,
        kind: EndorsementKind::of(&row.kind).ok_or(StoreError::Corrupt("endorsement.kind"))?,
        effective: row.effective_on,
        member: row.member_id,
        change: Amount { net: row.net, tax: row.tax },
        made: Timestamp::from_micros(row.made_at),
    })
}

fn refund(row: &RefundRow) -> Refund {
    Refund {
        id: row.id,
        endorsement: row.endorsement_id,
        amount: Amount { net: row.net, tax: row.tax },
        created: Timestamp::from_micros(row.created_at),
    }
}

fn recovery(row: &RecoveryRow) -> Recovery {
    Recovery {
        id: row.id,
        endorsement: row.endorsement_id,
        account: row.account_id,
        measure: row.measure,
        amount: row.amount,
        created: Timestamp::from_micros(row.created_at),
    }
}

fn range(start: Date, end: Date) -> Result<DateRange, Error> {
    DateRange::new(start, end).map_err(|_| StoreError::Corrupt("a range of days").into())
}
