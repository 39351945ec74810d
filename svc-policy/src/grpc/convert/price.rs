//! Events, lines, prices and snapshots.

use caremesh_kernel::{Currency, Money, Timestamp};
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use super::benefit::{account_balance, account_key, account_of, layer_key};
use super::words;
use crate::app::price::{Input, Part, Price};
use crate::app::sealed::SealedSnapshot;
use crate::domain::account::{CauseId, Grant, Leg};
use crate::domain::engine::{Breakdown, Cut, Event, Line, LinePrice, ReadVersion};
use crate::domain::plan::Step;

type Checked<T> = Result<T, Violation>;

/// What is to be priced.
pub(in crate::grpc) fn input(request: wire::PriceRequest) -> Checked<Input> {
    let event = shared::required("event", request.event)?;
    let member = shared::id("event.member_id", &event.member_id)?;
    let mut amounts = Amounts::default();
    let other_payer_minor = amounts.optional("other_payer", request.other_payer)?.unwrap_or(0);
    let lines = request.lines.into_iter().enumerate();
    let lines =
        lines.map(|(n, l)| line(&format!("lines[{n}]"), l, &mut amounts)).collect::<Checked<Vec<_>>>()?;
    let as_of = shared::optional_timestamp("as_of", request.as_of)?;
    let snapshots = snapshots_of(request.snapshot, request.snapshots)?;
    if as_of.is_some() && !snapshots.is_empty() {
        return Err(Violation::new("as_of", "price.one_reading", "must be absent when a snapshot is given"));
    }
    Ok(Input {
        member,
        event: Event { other_payer_minor, ..event_of(event)? },
        lines,
        currency: amounts.currency,
        snapshots,
        as_of,
        validate_only: request.validate_only,
    })
}

/// Reads amounts and sees that all are in one currency.
#[derive(Default)]
struct Amounts {
    currency: Option<Currency>,
}

impl Amounts {
    fn optional(&mut self, path: &str, amount: Option<types::Money>) -> Checked<Option<i64>> {
        let Some(Money { currency, minor }) = shared::optional_money(path, amount)? else { return Ok(None) };
        if *self.currency.get_or_insert(currency) != currency {
            return Err(Violation::new(
                path,
                "money.one_currency",
                "must be in the currency of the other amounts",
            ));
        }
        Ok(Some(minor))
    }

    fn required(&mut self, path: &str, amount: Option<types::Money>) -> Checked<i64> {
        let amount = shared::required(path, amount)?;
        Ok(self.optional(path, Some(amount))?.unwrap_or_default())
    }
}

fn event_of(event: wire::InsuredEvent) -> Checked<Event> {
    let provider = event.provider.unwrap_or_default();
    let kept = |text: String| (!text.is_empty()).then_some(text);
    Ok(Event {
        id: shared::id("event.event_id", &event.event_id)?,
        kind: words::event_kind_of("event.kind", event.kind)?,
        date: shared::date("event.event_date", event.event_date)?,
        discharge: shared::optional_date("event.discharge_date", event.discharge_date)?,
        emergency: event.emergency,
        accident: event.accident,
        conditions: event.conditions.into_iter().map(|coding| coding.code).collect(),
        cause: kept(event.cause_id).map(CauseId),
        in_network: provider.in_network,
        differential_billing: provider.differential_billing,
        zone: kept(provider.zone_code),
        claim: kept(event.claim_id),
        other_payer_minor: 0,
    })
}

fn line(path: &str, line: wire::PriceLine, amounts: &mut Amounts) -> Checked<Line> {
    let field = |name: &str| format!("{path}.{name}");
    let kept = |text: String| (!text.is_empty()).then_some(text);
    Ok(Line {
        sequence: super::benefit::number(&field("sequence"), line.sequence)?,
        kind: words::line_kind_of(&field("kind"), line.kind)?,
        billed_minor: amounts.required(&field("billed"), line.billed)?,
        agreed_minor: amounts.optional(&field("agreed"), line.agreed)?,
        count: line.count,
        days: line.days,
        date: shared::optional_date(&field("service_date"), line.service_date)?,
        room_category: kept(line.room_category),
        non_payable_minor: amounts.optional(&field("non_payable"), line.non_payable)?.unwrap_or(0),
        other_payer_minor: amounts.optional(&field("other_payer"), line.other_payer)?.unwrap_or(0),
        procedure: kept(line.procedure_id),
        code: line.service_code.map(|coding| coding.code),
        capitated: line.capitated,
        benefit: line.benefit_code,
    })
}

/// The one snapshot of a plain price, or those of its parts.
fn snapshots_of(
    one: Option<wire::BenefitSnapshot>,
    parts: Vec<wire::BenefitSnapshot>,
) -> Checked<Vec<SealedSnapshot>> {
    if one.is_some() && !parts.is_empty() {
        return Err(Violation::new(
            "snapshots",
            "price.one_reading",
            "must be empty when a snapshot is given",
        ));
    }
    one.into_iter().chain(parts).map(snapshot_of).collect()
}

fn snapshot_of(snapshot: wire::BenefitSnapshot) -> Checked<SealedSnapshot> {
    let accounts = snapshot.accounts.into_iter().enumerate();
    Ok(SealedSnapshot {
        term: shared::id("snapshot.term_id", &snapshot.term_id)?,
        plan_version: shared::id("snapshot.plan_version_id", &snapshot.plan_version_id)?,
        accounts: accounts
            .map(|(n, a)| account_of(&format!("snapshot.accounts[{n}]"), a))
            .collect::<Checked<_>>()?,
        member_facts: snapshot.member_facts,
        read: shared::timestamp("snapshot.read_time", snapshot.read_time)?,
        seal: snapshot.seal,
    })
}

/// A price as it is answered: a plain one with its legs and snapshot, that of a stay in several segments with its parts.
pub(in crate::grpc) fn price(price: &Price) -> wire::Price {
    let Price { lines, total, parts, currency } = price;
    let legs = || parts.iter().flat_map(|part| &part.priced.legs);
    debug_assert!(legs().all(|leg| leg.account.currency == *currency), "one currency per policy");
    let whole = wire::Price {
        lines: lines.iter().map(line_price).collect(),
        total: Some(breakdown(total)),
        ..wire::Price::default()
    };
    match parts.as_slice() {
        [only] => wire::Price {
            legs: only.priced.legs.iter().map(leg).collect(),
            grants: only.priced.grants.iter().map(grant).collect(),
            snapshot: Some(sealed(&only.snapshot)),
            expected_versions: only.expected.iter().map(expected_version).collect(),
            ..whole
        },
        several => wire::Price { parts: several.iter().map(part).collect(), ..whole },
    }
}

fn part(part: &Part) -> wire::PricePart {
    wire::PricePart {
        event_date: Some(part.event.date.to_wire()),
        days: Some(part.days.to_wire()),
        lines: part.priced.lines.iter().map(line_price).collect(),
        total: Some(breakdown(&part.priced.total)),
        legs: part.priced.legs.iter().map(leg).collect(),
        grants: part.priced.grants.iter().map(grant).collect(),
        snapshot: Some(sealed(&part.snapshot)),
        expected_versions: part.expected.iter().map(expected_version).collect(),
    }
}

fn expected_version(read: &ReadVersion) -> wire::ExpectedVersion {
    wire::ExpectedVersion { account_id: read.account.to_string(), version: read.version }
}

fn line_price(line: &LinePrice) -> wire::LinePrice {
    wire::LinePrice {
        sequence: i32::try_from(line.sequence).unwrap_or(i32::MAX),
        breakdown: Some(breakdown(&line.breakdown)),
        cuts: line.cuts.iter().map(cut).collect(),
    }
}

fn breakdown(parts: &Breakdown) -> wire::Breakdown {
    wire::Breakdown {
        claimed_minor: parts.claimed,
        provider_writeoff_minor: parts.writeoff,
        noncovered_minor: parts.noncovered,
        room_cut_minor: parts.room_cut,
        sublimit_cut_minor: parts.sublimit_cut,
        other_payer_minor: parts.other_payer,
        deductible_minor: parts.deductible,
        copay_minor: parts.copay,
        exceeded_minor: parts.exceeded,
        payable_minor: parts.payable,
        allowed_minor: parts.allowed,
    }
}

fn cut(cut: &Cut) -> wire::Cut {
    wire::Cut {
        step: step(cut.step).into(),
        rule_id: cut.rule.clone(),
        reason: cut.reason.name().to_owned(),
        before_minor: cut.before_minor,
        after_minor: cut.after_minor,
        account_id: cut.account.map(|account| account.to_string()).unwrap_or_default(),
    }
}

/// A step of the engine.
pub(in crate::grpc) fn step(step: Step) -> wire::PriceStep {
    match step {
        Step::AgreedPrice => wire::PriceStep::AgreedPrice,
        Step::NonPayable => wire::PriceStep::NonPayable,
        Step::Room => wire::PriceStep::Room,
        Step::SublimitAllowed => wire::PriceStep::SublimitAllowed,
        Step::OtherPayer => wire::PriceStep::OtherPayer,
        Step::Deductible => wire::PriceStep::Deductible,
        Step::Copay => wire::PriceStep::Copay,
        Step::OutOfPocket => wire::PriceStep::OutOfPocket,
        Step::SublimitAfterDeductible => wire::PriceStep::SublimitAfterDeductible,
        Step::SublimitPlanPaid => wire::PriceStep::SublimitPlanPaid,
        Step::Pool => wire::PriceStep::Pool,
    }
}

fn leg(leg: &Leg) -> wire::Leg {
    wire::Leg {
        account: Some(account_key(&leg.account)),
        layer: Some(layer_key(leg.layer)),
        amount: leg.amount,
        line_sequence: i32::try_from(leg.line).unwrap_or(i32::MAX),
    }
}

fn grant(grant: &Grant) -> wire::LayerGrant {
    wire::LayerGrant {
        account: Some(account_key(&grant.account)),
        layer: Some(layer_key(grant.layer)),
        amount: grant.amount,
        valid: Some(grant.valid.to_wire()),
        rule_id: grant.rule.clone(),
        waiting_from: Some(grant.waiting_from.to_wire()),
    }
}

fn sealed(snapshot: &SealedSnapshot) -> wire::BenefitSnapshot {
    wire::BenefitSnapshot {
        term_id: snapshot.term.to_string(),
        plan_version_id: snapshot.plan_version.to_string(),
        accounts: snapshot.accounts.iter().map(|account| account_balance(account, None)).collect(),
        member_facts: snapshot.member_facts.clone(),
        read_time: Some(Timestamp::to_wire(&snapshot.read)),
        seal: snapshot.seal.clone(),
    }
}
