//! Quotes, policies, receipts.

use caremesh_kernel::{Currency, Date, Money, Timestamp};
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use super::plan::carrier;
use super::words;
use crate::app::policy::{Member, Policy, PremiumReceipt, Term};
use crate::app::{create_quote, record_premium_payment};
use crate::domain::policy::{PolicyState, Premium, Quote, QuoteMember, QuoteState};

type Checked<T> = Result<T, Violation>;

/// What is asked of an offer.
pub(in crate::grpc) fn quote_input(request: wire::CreateQuoteRequest) -> Checked<create_quote::Input> {
    let members = request.members.into_iter().enumerate().map(proposed).collect::<Checked<Vec<_>>>()?;
    Ok(create_quote::Input {
        plan_version: shared::id("plan_version_id", &request.plan_version_id)?,
        sum_insured: shared::money("sum_insured", request.sum_insured)?,
        policyholder: shared::id("policyholder_person_id", &request.policyholder_person_id)?,
        members,
        start: shared::date("start_date", request.start_date)?,
        instalments: super::benefit::number("instalment_count", request.instalment_count)?.max(1),
    })
}

fn proposed((n, member): (usize, wire::ProposedMember)) -> Checked<QuoteMember> {
    Ok(QuoteMember {
        person: shared::id(&format!("members[{n}].person_id"), &member.person_id)?,
        relation: words::relation_of(&format!("members[{n}].relation"), member.relation)?,
        declared: member.declared_conditions.into_iter().map(|coding| coding.code).collect(),
    })
}

/// A quote at an instant; without an id when it was not kept.
pub(in crate::grpc) fn quote(quote: &Quote, now: Timestamp, kept: bool) -> wire::Quote {
    let (state, policy_id) = match quote.state(now) {
        QuoteState::Quoted => (wire::QuoteState::Quoted, String::new()),
        QuoteState::Accepted(policy) => (wire::QuoteState::Accepted, policy.to_string()),
        QuoteState::Expired => (wire::QuoteState::Expired, String::new()),
    };
    wire::Quote {
        quote_id: if kept { quote.id.to_string() } else { String::new() },
        plan_version_id: quote.plan_version.to_string(),
        sum_insured: Some(quote.sum_insured.to_wire()),
        policyholder_person_id: quote.policyholder.to_string(),
        members: quote.members.iter().map(proposed_member).collect(),
        start_date: Some(quote.start.to_wire()),
        premium: Some(premium(&quote.premium, quote.sum_insured.currency)),
        state: state.into(),
        expire_time: Some(quote.expires.to_wire()),
        policy_id,
        create_time: Some(quote.created.to_wire()),
    }
}

/// The code system of declared conditions: the contract asks for ICD-10.
const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";

fn proposed_member(member: &QuoteMember) -> wire::ProposedMember {
    let coding = |code: &String| types::Coding {
        system: ICD_10.to_owned(),
        code: code.clone(),
        display: String::new(),
    };
    wire::ProposedMember {
        person_id: member.person.to_string(),
        relation: words::relation(member.relation).into(),
        declared_conditions: member.declared.iter().map(coding).collect(),
    }
}

fn premium(premium: &Premium, currency: Currency) -> wire::Premium {
    let money = |minor| Some(Money::new(currency, minor).to_wire());
    let member = |part: &crate::domain::policy::MemberPremium| wire::MemberPremium {
        person_id: part.person.to_string(),
        gross: money(part.gross),
        net: money(part.net),
    };
    let instalment = |due: &crate::domain::policy::Instalment| wire::Instalment {
        number: i32::try_from(due.number).unwrap_or(i32::MAX),
        due_date: Some(due.due.to_wire()),
        amount: money(due.amount),
    };
    wire::Premium {
        members: premium.members.iter().map(member).collect(),
        gross: money(premium.gross),
        discount: money(premium.discount),
        net: money(premium.net),
        tax: money(premium.tax),
        total: money(premium.total),
        instalments: premium.instalments.iter().map(instalment).collect(),
    }
}

/// A policy.
pub(in crate::grpc) fn policy(policy: &Policy) -> wire::Policy {
    let received: i64 = policy.receipts.iter().map(|receipt| receipt.amount.minor).sum();
    let receivable = Money::new(policy.currency, policy.premium.total - received);
    wire::Policy {
        policy_id: policy.id.to_string(),
        state: policy_state(policy.state).into(),
        plan_id: policy.plan.to_string(),
        policyholder_person_id: policy.policyholder.to_string(),
        time_zone: policy.zone.clone(),
        currency_code: policy.currency.code().to_owned(),
        terms: policy.terms.iter().map(term).collect(),
        members: policy.members.iter().map(|member| covered(member, policy)).collect(),
        premium: Some(premium(&policy.premium, policy.currency)),
        receipts: policy.receipts.iter().map(receipt).collect(),
        receivable: Some(receivable.to_wire()),
        carriers: policy.carriers.iter().map(carrier).collect(),
        quote_id: policy.quote.to_string(),
        etag: policy.version.to_string(),
        create_time: Some(policy.created.to_wire()),
        update_time: Some(policy.updated.to_wire()),
    }
}

fn policy_state(state: PolicyState) -> wire::PolicyState {
    match state {
        PolicyState::PendingPayment { .. } => wire::PolicyState::PendingPayment,
        PolicyState::Active { .. } => wire::PolicyState::Active,
        PolicyState::ExpiredQuote => wire::PolicyState::ExpiredQuote,
    }
}

fn term(term: &Term) -> wire::PolicyTerm {
    let state = match term.state.as_str() {
        "OPEN" => wire::TermState::Open,
        "RUN_OFF" => wire::TermState::RunOff,
        "CLOSED" => wire::TermState::Closed,
        _ => wire::TermState::Unspecified,
    };
    let segment =
        |(days, version, sum): &(caremesh_kernel::DateRange, caremesh_kernel::PlanVersionId, Money)| {
            wire::TermSegment {
                period: Some(days.to_wire()),
                plan_version_id: version.to_string(),
                sum_insured: Some(sum.to_wire()),
            }
        };
    wire::PolicyTerm {
        term_id: term.id.to_string(),
        number: i32::try_from(term.number).unwrap_or(i32::MAX),
        period: Some(term.days.to_wire()),
        state: state.into(),
        segments: term.segments.iter().map(segment).collect(),
    }
}

fn covered(member: &Member, policy: &Policy) -> wire::Member {
    wire::Member {
        member_id: member.id.to_string(),
        person_id: member.person.to_string(),
        relation: words::relation(member.relation).into(),
        state: member_state(member, policy.state, policy.today).into(),
        cover: Some(member.cover.to_wire()),
        continuous_cover_start: Some(member.continuous_from.to_wire()),
    }
}

/// Cover counts from its first day on, and only while the policy is in force.
fn member_state(member: &Member, state: PolicyState, today: Date) -> wire::MemberState {
    if !state.is_in_force() || today < member.cover.start() {
        return wire::MemberState::Pending;
    }
    if member.cover.contains(today) { wire::MemberState::Covered } else { wire::MemberState::Removed }
}

fn receipt(receipt: &PremiumReceipt) -> wire::PremiumReceipt {
    wire::PremiumReceipt {
        receipt_id: receipt.id.to_string(),
        payment_reference: receipt.reference.clone(),
        amount: Some(receipt.amount.to_wire()),
        receive_time: Some(receipt.received.to_wire()),
    }
}

/// A payment as it was reported.
pub(in crate::grpc) fn payment_input(
    request: wire::RecordPremiumPaymentRequest,
) -> Checked<record_premium_payment::Input> {
    Ok(record_premium_payment::Input {
        quote: shared::id("quote_id", &request.quote_id)?,
        reference: request.payment_reference,
        amount: shared::money("amount", request.amount)?,
        received: shared::timestamp("receive_time", request.receive_time)?,
    })
}

/// The answer of a payment.
pub(in crate::grpc) fn booked(booked: &record_premium_payment::Booked) -> wire::RecordPremiumPaymentResponse {
    wire::RecordPremiumPaymentResponse {
        receipt: Some(receipt(&booked.receipt)),
        policy_id: booked.policy.map(|policy| policy.to_string()).unwrap_or_default(),
    }
}
