//! Accepting an offer: the policy, its first term and its members follow from the quote, ids included, so that a
//! second purchase of the same quote is the same policy.

use caremesh_kernel::{Date, DateRange, MemberId, PersonId, PolicyId, TermId, Timestamp, Uuid};

use super::quote::{Quote, QuoteState};
use super::state::PolicyState;
use crate::domain::engine::CoverLayer;
use crate::domain::plan::Relation;

/// Namespace of the ids that follow from a quote. Never to change.
const PURCHASE_NAMESPACE: Uuid = Uuid::from_u128(0x4e0f_92d7_77a1_4c6b_8d15_0a6b_3f9e_51c2);

/// A policy that was just bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPolicy {
    /// Follows from the quote.
    pub id: PolicyId,
    /// Pending, or active when it was paid before.
    pub state: PolicyState,
    /// Whether the purchase activated it.
    pub activated: bool,
    /// The first term.
    pub term: NewTerm,
    /// The members.
    pub members: Vec<NewMember>,
}

/// The first term of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTerm {
    /// Follows from the policy.
    pub id: TermId,
    /// Its days, half-open.
    pub days: DateRange,
    /// The layers of its sum insured, where cover with another insurer is credited; one layer otherwise.
    pub layers: Option<Vec<CoverLayer>>,
}

/// A member of a new policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// Follows from policy and person.
    pub id: MemberId,
    /// Who.
    pub person: PersonId,
    /// Relation to the policyholder.
    pub relation: Relation,
    /// Days of cover: those of the term.
    pub cover: DateRange,
    /// Start of continuous cover, with credit for cover with another insurer.
    pub continuous_from: Date,
}

/// Why a quote cannot be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseRefusal {
    /// Its time is over and no payment came in time.
    #[error("the quote has expired")]
    Expired,
    /// It was bought before.
    #[error("the quote was bought before")]
    AlreadyPurchased(PolicyId),
}

/// Accepts a quote at an instant. `paid` says that the first instalment was received while the quote was good: then it
/// can be bought although its time is over by now, because the payment was the acceptance.
///
/// # Errors
/// [`PurchaseRefusal`].
pub fn purchase(
    quote: &Quote,
    term_months: u32,
    paid: bool,
    now: Timestamp,
) -> Result<NewPolicy, PurchaseRefusal> {
    match quote.state(now) {
        QuoteState::Accepted(policy) => return Err(PurchaseRefusal::AlreadyPurchased(policy)),
        QuoteState::Expired if !paid => return Err(PurchaseRefusal::Expired),
        QuoteState::Expired | QuoteState::Quoted => {}
    }
    let id = PolicyId::derive(PURCHASE_NAMESPACE, &[&quote.id.to_string()]);
    let days = term_days(quote.start, term_months);
    let member = |member: &super::QuoteMember| NewMember {
        id: MemberId::derive(PURCHASE_NAMESPACE, &[&id.to_string(), &member.person.to_string()]),
        person: member.person,
        relation: member.relation,
        cover: days,
        continuous_from: continuous_from(quote, member.person),
    };
    let credited = quote.prior.as_ref();
    let layers = credited.map(|prior| prior.cover.layers(quote.sum_insured.minor, prior.credited_from, days));
    Ok(NewPolicy {
        id,
        state: PolicyState::bought(quote.expires, paid, now),
        activated: paid,
        term: NewTerm { id: TermId::derive(PURCHASE_NAMESPACE, &[&id.to_string(), "1"]), days, layers },
        members: quote.members.iter().map(member).collect(),
    })
}

/// Nothing is credited to who was not covered before.
fn continuous_from(quote: &Quote, person: PersonId) -> Date {
    let prior = quote.prior.as_ref().filter(|prior| prior.cover.persons.contains(&person));
    prior.map_or(quote.start, |prior| prior.credited_from)
}

/// A term that starts on 29 February ends on 28 February: the day after its last day is its anniversary.
fn term_days(start: Date, months: u32) -> DateRange {
    let end = start.plus_months(i32::try_from(months).unwrap_or(i32::MAX));
    DateRange::of_days(start, start.days_until(end))
}
