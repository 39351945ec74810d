//! Orders, their prices and their journal.

use caremesh_kernel::Money;
use caremesh_mesh::port::payment::{Payment, PaymentState};
use caremesh_mesh::wire::{ToWire as _, Violation, id, optional_id};
use caremesh_proto::pharmacy::v1 as wire;
use caremesh_proto::r#type::v1::Address;
use prost::Message as _;

use super::prescription::substitution_of;
use crate::app::order::{Item, Named, Quote, QuotedLine, Settlement, Shown};
use crate::domain::order::{
    Handover, Method, Order, OrderLine, OrderState, Paid, Parcel, ParcelLine, ParcelState, Party, Record,
    Shares,
};

/// Items as they were asked for.
pub(in crate::grpc) fn items(items: &[wire::OrderItem]) -> Result<Vec<Item>, Violation> {
    let item = |(place, item): (usize, &wire::OrderItem)| {
        Ok(Item {
            product: id(&format!("items[{place}].product_id"), &item.product_id)?,
            quantity: item.quantity,
            unit: item.unit_code.clone(),
            named: named(place, item)?,
            substitution: substitution_of(item.substitution_reason)?,
            consent: item.consent_to_price,
        })
    };
    items.iter().enumerate().map(item).collect()
}

fn named(place: usize, item: &wire::OrderItem) -> Result<Option<Named>, Violation> {
    let exact = optional_id(&format!("items[{place}].prescription_item_id"), &item.prescription_item_id)?;
    let paper = optional_id(&format!("items[{place}].prescription_id"), &item.prescription_id)?;
    Ok(exact.map(Named::Item).or(paper.map(Named::Paper)))
}

/// Lines of a parcel or of a return. The contract keeps sequences above zero.
pub(in crate::grpc) fn lines(lines: &[wire::ParcelLine]) -> Vec<ParcelLine> {
    let line = |line: &wire::ParcelLine| ParcelLine {
        sequence: u32::try_from(line.sequence).unwrap_or_default(),
        quantity: line.quantity,
    };
    lines.iter().map(line).collect()
}

/// A price.
pub(in crate::grpc) fn quote(quote: &Quote, at: caremesh_kernel::Timestamp) -> wire::OrderQuote {
    wire::OrderQuote {
        currency_code: quote.currency.code().to_owned(),
        lines: quote.lines.iter().map(quoted).collect(),
        total: Some(shares(quote.total())),
        insured: quote.cover.is_some(),
        quote_time: Some(at.to_wire()),
    }
}

fn quoted(line: &QuotedLine) -> wire::QuotedLine {
    let why = line.why.iter().map(|why| wire::ShareReason {
        code: why.rule.clone(),
        reason: why.reason.clone(),
        amount_minor: why.amount,
    });
    wire::QuotedLine {
        sequence: number(line.sequence),
        product_id: line.product.to_string(),
        shares: Some(shares(line.shares)),
        reasons: why.collect(),
    }
}

fn shares(shares: Shares) -> wire::Shares {
    wire::Shares {
        list_minor: shares.list,
        plan_minor: shares.plan,
        discount_minor: shares.discount,
        member_minor: shares.member(),
    }
}

fn number(sequence: u32) -> i32 {
    i32::try_from(sequence).unwrap_or(i32::MAX)
}

/// An order.
pub(in crate::grpc) fn order(shown: &Shown) -> wire::Order {
    let order = &shown.order;
    let paid = order.payment.as_ref();
    wire::Order {
        order_id: order.id.to_string(),
        patient_person_id: order.patient.to_string(),
        branch_id: order.branch.to_string(),
        state: state(order.state).into(),
        currency_code: order.currency.code().to_owned(),
        lines: order.lines.iter().map(line).collect(),
        total: Some(shares(order.total())),
        parcels: order.parcels.iter().map(|one| parcel(shown, one)).collect(),
        dispenses: order.records.iter().map(record).collect(),
        payment_method: method(order.method).into(),
        payment_state: payment_state(order).into(),
        captured_minor: paid.map_or(0, |paid| paid.captured),
        refunded_minor: paid.map_or(0, |paid| paid.refunded),
        hold_id: order.benefit.hold.clone().unwrap_or_default(),
        event_id: order.event.to_string(),
        event_date: Some(order.event_date.to_wire()),
        reserve_time: Some(order.reserved_until.to_wire()),
        reason: order.reason.clone().unwrap_or_default(),
        closing: order.closing,
        delivery_address: shown.address.as_deref().and_then(|bytes| Address::decode(bytes).ok()),
        etag: shown.version.to_string(),
        create_time: Some(order.created.to_wire()),
        update_time: Some(order.updated.to_wire()),
    }
}

fn line(line: &OrderLine) -> wire::OrderLine {
    wire::OrderLine {
        sequence: number(line.sequence),
        product_id: line.product.to_string(),
        quantity: line.quantity,
        unit_code: line.unit.clone(),
        shares: Some(shares(line.shares)),
        packed: line.packed,
        dispensed: line.dispensed,
        returned: line.returned,
        reservation_id: line.reservation.to_string(),
        prescription_id: line.script.map(|script| script.prescription.to_string()).unwrap_or_default(),
        prescription_item_id: item_of(line),
    }
}

fn item_of(line: &OrderLine) -> String {
    line.script.and_then(|script| script.item).map(|item| item.to_string()).unwrap_or_default()
}

fn parcel(shown: &Shown, parcel: &Parcel) -> wire::Parcel {
    let lines = parcel.lines.iter();
    let proof = shown.proofs.iter().find(|(id, _)| *id == parcel.id).map(|(_, proof)| proof.clone());
    wire::Parcel {
        parcel_id: parcel.id.to_string(),
        number: parcel.number,
        state: parcel_state(parcel.state).into(),
        lines: lines
            .map(|line| wire::ParcelLine { sequence: number(line.sequence), quantity: line.quantity })
            .collect(),
        shares: (!parcel.parts.is_empty()).then(|| shares(parcel.shares)),
        handover: parcel.handover.map_or(wire::Handover::Unspecified, to_handover).into(),
        attempts: parcel.attempts,
        proof: proof.unwrap_or_default(),
        pharmacist: parcel.pharmacist.clone().unwrap_or_default(),
    }
}

fn record(record: &Record) -> wire::DispenseRecord {
    let state = if record.withdrawn {
        wire::DispenseRecordState::Withdrawn
    } else {
        wire::DispenseRecordState::Recorded
    };
    wire::DispenseRecord {
        dispense_id: record.id.to_string(),
        parcel_ids: record.parcels.iter().map(ToString::to_string).collect(),
        revision: record.revision,
        state: state.into(),
        shares: Some(shares(record.shares)),
        posting_id: record.posting.clone().unwrap_or_default(),
        create_time: Some(record.at.to_wire()),
    }
}

/// The journal and what it comes to.
pub(in crate::grpc) fn settlement(settlement: &Settlement) -> wire::GetSettlementResponse {
    let line = |line: &crate::domain::order::JournalLine| wire::JournalLine {
        entry: line.entry.clone(),
        party: party(line.party).into(),
        amount_minor: line.amount,
        create_time: Some(line.at.to_wire()),
    };
    let balance =
        |(of, amount): &(Party, i64)| wire::PartyBalance { party: party(*of).into(), amount_minor: *amount };
    wire::GetSettlementResponse {
        lines: settlement.lines.iter().map(line).collect(),
        balances: settlement.balances.iter().map(balance).collect(),
        settled: settlement.settled,
    }
}

/// How the own share is paid. The contract refuses the unsaid.
pub(in crate::grpc) fn to_method(method: wire::PaymentMethod) -> Method {
    if method == wire::PaymentMethod::CashOnDelivery { Method::Cash } else { Method::Card }
}

fn method(method: Method) -> wire::PaymentMethod {
    match method {
        Method::Card => wire::PaymentMethod::Card,
        Method::Cash => wire::PaymentMethod::CashOnDelivery,
    }
}

/// How a parcel leaves. The contract refuses the unsaid.
pub(in crate::grpc) fn from_handover(handover: wire::Handover) -> Handover {
    if handover == wire::Handover::Courier { Handover::Courier } else { Handover::AtCounter }
}

fn to_handover(handover: Handover) -> wire::Handover {
    match handover {
        Handover::AtCounter => wire::Handover::AtCounter,
        Handover::Courier => wire::Handover::Courier,
    }
}

fn payment_state(order: &Order) -> wire::MemberPaymentState {
    let Some(Paid { authorised, captured, refunded, over }) = order.payment else {
        return wire::MemberPaymentState::Unspecified;
    };
    let money = |minor| Money::new(order.currency, minor);
    let (authorised, captured, refunded) = (money(authorised), money(captured), money(refunded));
    match (Payment { authorised, captured, refunded, over }).state() {
        PaymentState::Authorised => wire::MemberPaymentState::Authorised,
        PaymentState::Captured => wire::MemberPaymentState::Captured,
        PaymentState::PartlyRefunded => wire::MemberPaymentState::PartlyRefunded,
        PaymentState::Refunded => wire::MemberPaymentState::Refunded,
        PaymentState::Failed => wire::MemberPaymentState::Failed,
    }
}

fn state(state: OrderState) -> wire::OrderState {
    match state {
        OrderState::Reserving => wire::OrderState::Reserving,
        OrderState::AwaitingPayment => wire::OrderState::AwaitingPayment,
        OrderState::AwaitingVerification => wire::OrderState::AwaitingVerification,
        OrderState::Confirmed => wire::OrderState::Confirmed,
        OrderState::Packing => wire::OrderState::Packing,
        OrderState::PartlyShipped => wire::OrderState::PartlyShipped,
        OrderState::Shipped => wire::OrderState::Shipped,
        OrderState::Delivered => wire::OrderState::Delivered,
        OrderState::DeliveryFailed => wire::OrderState::DeliveryFailed,
        OrderState::Returned => wire::OrderState::Returned,
        OrderState::Cancelled => wire::OrderState::Cancelled,
        OrderState::Expired => wire::OrderState::Expired,
    }
}

fn parcel_state(state: ParcelState) -> wire::ParcelState {
    match state {
        ParcelState::Packed => wire::ParcelState::Packed,
        ParcelState::Dispensing => wire::ParcelState::Dispensing,
        ParcelState::Shipped => wire::ParcelState::Shipped,
        ParcelState::Delivered => wire::ParcelState::Delivered,
        ParcelState::NotDelivered => wire::ParcelState::NotDelivered,
        ParcelState::Unpacked => wire::ParcelState::Unpacked,
    }
}

fn party(party: Party) -> wire::Party {
    match party {
        Party::Member => wire::Party::Member,
        Party::Carrier => wire::Party::Carrier,
        Party::Branch => wire::Party::Branch,
        Party::PaymentProvider => wire::Party::PaymentProvider,
    }
}
