//! Quotes, policies, receipts.

use caremesh_kernel::{Currency, Date, Money, Timestamp};
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use super::plan::carrier;
use super::{layers, words};
use crate::app::change::Target;
use crate::app::policy::{Endorsement, Member, Policy, PremiumReceipt, Refund, Term};
use crate::app::{
    add_member, cancel_policy, create_quote, record_premium_payment, remove_member, renew_policy,
};
use crate::domain::life::{CancelReason, EndorsementKind, RemoveReason};
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
        prior: request.prior_cover.map(layers::prior).transpose()?,
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
        needs_review: quote.review.as_deref() == Some("NEEDED"),
        prior_cover: quote.prior.as_ref().map(|prior| layers::prior_cover(prior, quote.sum_insured.currency)),
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
    let due = policy.premium.instalments.iter().skip(policy.paid);
    let receivable = Money::new(policy.currency, due.map(|due| due.amount).sum());
    wire::Policy {
        policy_id: policy.id.to_string(),
        state: policy_state(policy.state).into(),
        plan_id: policy.plan.to_string(),
        policyholder_person_id: policy.policyholder.to_string(),
        time_zone: policy.zone.clone(),
        currency_code: policy.currency.code().to_owned(),
        terms: policy.terms.iter().map(|one| term(one, policy.currency)).collect(),
        members: policy.members.iter().map(|member| covered(member, policy)).collect(),
        premium: Some(premium(&policy.premium, policy.currency)),
        receipts: policy.receipts.iter().map(receipt).collect(),
        receivable: Some(receivable.to_wire()),
        carriers: policy.carriers.iter().map(carrier).collect(),
        quote_id: policy.quote.to_string(),
        etag: policy.version.to_string(),
        create_time: Some(policy.created.to_wire()),
        update_time: Some(policy.updated.to_wire()),
        endorsements: policy.endorsements.iter().map(endorsement).collect(),
        refunds: policy.refunds.iter().map(|refund| given_back(refund, policy.currency)).collect(),
        recoveries: policy.recoveries.iter().map(layers::recovery).collect(),
    }
}

fn policy_state(state: PolicyState) -> wire::PolicyState {
    match state {
        PolicyState::PendingPayment { .. } => wire::PolicyState::PendingPayment,
        PolicyState::Active { .. } => wire::PolicyState::Active,
        PolicyState::InGrace { .. } => wire::PolicyState::InGrace,
        PolicyState::Lapsed { .. } => wire::PolicyState::Lapsed,
        PolicyState::Cancelled { .. } => wire::PolicyState::Cancelled,
        PolicyState::Expired { .. } => wire::PolicyState::Expired,
        PolicyState::ExpiredQuote => wire::PolicyState::ExpiredQuote,
    }
}

fn endorsement(change: &Endorsement) -> wire::Endorsement {
    let kind = match change.kind {
        EndorsementKind::AddMember => wire::EndorsementKind::AddMember,
        EndorsementKind::RemoveMember => wire::EndorsementKind::RemoveMember,
        EndorsementKind::Cancel => wire::EndorsementKind::Cancel,
        EndorsementKind::Lapse => wire::EndorsementKind::Lapse,
        EndorsementKind::Reinstate => wire::EndorsementKind::Reinstate,
        EndorsementKind::Expire => wire::EndorsementKind::Expire,
        EndorsementKind::Renew => wire::EndorsementKind::Renew,
        EndorsementKind::SumInsured => wire::EndorsementKind::SumInsured,
        EndorsementKind::Plan => wire::EndorsementKind::Plan,
        EndorsementKind::Bonus => wire::EndorsementKind::Bonus,
        EndorsementKind::Nominees => wire::EndorsementKind::Nominees,
        EndorsementKind::Bank => wire::EndorsementKind::Bank,
    };
    wire::Endorsement {
        endorsement_id: change.id.to_string(),
        kind: kind.into(),
        effective_date: Some(change.effective.to_wire()),
        member_id: change.member.map(|member| member.to_string()).unwrap_or_default(),
        net_change_minor: change.change.net,
        tax_change_minor: change.change.tax,
        make_time: Some(change.made.to_wire()),
    }
}

fn given_back(refund: &Refund, currency: Currency) -> wire::Refund {
    wire::Refund {
        refund_id: refund.id.to_string(),
        endorsement_id: refund.endorsement.to_string(),
        net: Some(Money::new(currency, refund.amount.net).to_wire()),
        tax: Some(Money::new(currency, refund.amount.tax).to_wire()),
        create_time: Some(refund.created.to_wire()),
    }
}

fn term(term: &Term, currency: Currency) -> wire::PolicyTerm {
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
        layers: term.layers.iter().map(|layer| layers::layer(layer, currency)).collect(),
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

/// Cover counts from its first day on, once the policy was paid; it ends on its own day, whatever the policy's state.
fn member_state(member: &Member, state: PolicyState, today: Date) -> wire::MemberState {
    if !state.pays() || today < member.cover.start() {
        return wire::MemberState::Pending;
    }
    match member.end_reason.as_deref() {
        _ if member.cover.contains(today) => wire::MemberState::Covered,
        Some("DECEASED") => wire::MemberState::Deceased,
        Some("AGED_OUT") => wire::MemberState::AgedOut,
        _ => wire::MemberState::Removed,
    }
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

pub(super) fn target(policy: &str, etag: String) -> Checked<Target> {
    Ok(Target { policy: shared::id("policy_id", policy)?, etag: (!etag.is_empty()).then_some(etag) })
}

/// A cancellation as it was asked for.
pub(in crate::grpc) fn cancellation(request: wire::CancelPolicyRequest) -> Checked<cancel_policy::Input> {
    let reason = match request.reason() {
        wire::CancelReason::FreeLook => CancelReason::FreeLook,
        wire::CancelReason::HolderRequest => CancelReason::HolderRequest,
        wire::CancelReason::Unspecified => return Err(unspecified("reason")),
    };
    Ok(cancel_policy::Input {
        target: target(&request.policy_id, request.etag)?,
        reason,
        effective: shared::optional_date("effective_date", request.effective_date)?,
    })
}

/// A person who is to join.
pub(in crate::grpc) fn addition(request: wire::AddMemberRequest) -> Checked<add_member::Input> {
    let QuoteMember { person, relation, declared } =
        proposed((0, shared::required("member", request.member)?))?;
    Ok(add_member::Input {
        target: target(&request.policy_id, request.etag)?,
        person,
        relation,
        declared,
        start: shared::optional_date("start_date", request.start_date)?,
    })
}

/// A renewal as it was asked for.
pub(in crate::grpc) fn renewal(request: wire::RenewPolicyRequest) -> Checked<renew_policy::Input> {
    Ok(renew_policy::Input {
        target: target(&request.policy_id, request.etag)?,
        instalments: super::benefit::number("instalment_count", request.instalment_count)?.max(1),
        plan_version: shared::optional_id("plan_version_id", &request.plan_version_id)?,
        sum_insured: shared::optional_money("sum_insured", request.sum_insured)?,
    })
}

/// A member who is to leave.
pub(in crate::grpc) fn removal(request: wire::RemoveMemberRequest) -> Checked<remove_member::Input> {
    let reason = match request.reason() {
        wire::RemoveReason::Death => RemoveReason::Death,
        wire::RemoveReason::FamilyChange => RemoveReason::FamilyChange,
        wire::RemoveReason::HolderRequest => RemoveReason::HolderRequest,
        wire::RemoveReason::Unspecified => return Err(unspecified("reason")),
    };
    Ok(remove_member::Input {
        target: target(&request.policy_id, request.etag)?,
        member: shared::id("member_id", &request.member_id)?,
        reason,
        day: shared::date("effective_date", request.effective_date)?,
    })
}

fn unspecified(field: &str) -> Violation {
    Violation::new(field, "enum.not_in", "must be said")
}
