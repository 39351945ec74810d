//! The events this service tells: ids only. Names and message are the contract's register (`EventType`).

use caremesh_db::NewEvent;
use caremesh_kernel::{
    EndorsementId, PersonId, PolicyId, PostingId, ProposalId, ReceiptId, RefundId, Timestamp,
};
use caremesh_proto::policy::v1::{Event, EventType};

use crate::domain::life::ReminderKind;

/// Something was posted on the ledger of a policy.
pub(crate) fn benefit_posted(policy: PolicyId, posting: PostingId, now: Timestamp) -> NewEvent {
    event(EventType::BenefitPosted, policy.to_string(), posting.to_string(), now, 0)
}

/// A quote was bought.
pub(crate) fn policy_purchased(policy: PolicyId, now: Timestamp) -> NewEvent {
    event(EventType::PolicyPurchased, policy.to_string(), policy.to_string(), now, 0)
}

/// A premium was received. `key` is the policy, or the quote while there is no policy yet.
pub(crate) fn premium_received(key: &str, receipt: ReceiptId, now: Timestamp) -> NewEvent {
    event(EventType::PremiumReceived, key.to_owned(), receipt.to_string(), now, 1)
}

/// A policy became active: its welcome message follows from this, once.
pub(crate) fn policy_activated(policy: PolicyId, now: Timestamp) -> NewEvent {
    event(EventType::PolicyActivated, policy.to_string(), policy.to_string(), now, 2)
}

/// A policy was changed: what, stands in its endorsement.
pub(crate) fn policy_endorsed(policy: PolicyId, endorsement: EndorsementId, now: Timestamp) -> NewEvent {
    event(EventType::PolicyEndorsed, policy.to_string(), endorsement.to_string(), now, 0)
}

/// A policy ended: cancelled, lapsed, or its last term is over.
pub(crate) fn policy_ended(policy: PolicyId, now: Timestamp) -> NewEvent {
    event(EventType::PolicyEnded, policy.to_string(), policy.to_string(), now, 1)
}

/// Premium is to be given back.
pub(crate) fn refund_decided(policy: PolicyId, refund: RefundId, now: Timestamp) -> NewEvent {
    event(EventType::RefundDecided, policy.to_string(), refund.to_string(), now, 2)
}

/// A policyholder is to be reminded; the kind of the event says of what.
pub(crate) fn reminded(policy: PolicyId, kind: ReminderKind, now: Timestamp) -> NewEvent {
    let (kind, rank) = match kind {
        ReminderKind::PremiumDue => (EventType::PremiumDueSoon, 0),
        ReminderKind::PremiumOverdue => (EventType::PremiumOverdue, 1),
        ReminderKind::GraceEnds => (EventType::GraceEndsSoon, 2),
        ReminderKind::TermEnds => (EventType::TermEndsSoon, 3),
    };
    event(kind, policy.to_string(), policy.to_string(), now, rank)
}

/// A proposal moved on.
pub(crate) fn proposal_changed(proposal: ProposalId, now: Timestamp) -> NewEvent {
    event(EventType::ProposalChanged, proposal.to_string(), proposal.to_string(), now, 0)
}

/// A person was entered.
pub(crate) fn person_created(person: PersonId, now: Timestamp) -> NewEvent {
    event(EventType::PersonCreated, person.to_string(), person.to_string(), now, 0)
}

/// A person's profile changed.
pub(crate) fn person_updated(person: PersonId, now: Timestamp) -> NewEvent {
    event(EventType::PersonUpdated, person.to_string(), person.to_string(), now, 0)
}

/// Events of one key are told in the order of their instants; `rank` orders those of one transaction.
fn event(kind: EventType, key: String, resource: String, now: Timestamp, rank: i64) -> NewEvent {
    let payload = Event { r#type: kind.into(), key: key.clone(), resource_id: resource, ..Event::default() };
    NewEvent::of(name(kind), key, now.as_micros().saturating_mul(4).saturating_add(rank), &payload)
}

fn name(kind: EventType) -> &'static str {
    kind.as_str_name().strip_prefix("EVENT_TYPE_").unwrap_or_default()
}
