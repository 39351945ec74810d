//! Proposals and what is decided about them.

use caremesh_kernel::Timestamp;
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;

use crate::app::proposal::{Proposal, Said, Side};
use crate::app::underwrite::Act;
use crate::domain::policy::{ProposalState, Terms};

/// A proposal.
pub(in crate::grpc) fn proposal(proposal: &Proposal) -> wire::Proposal {
    let said = |said: &Said| wire::ProposalMessage {
        from_underwriter: said.side == Side::Underwriter,
        text: said.text.clone(),
        create_time: Some(Timestamp::from_micros(said.at).to_wire()),
    };
    wire::Proposal {
        proposal_id: proposal.id.to_string(),
        quote_id: proposal.quote.to_string(),
        policyholder_person_id: proposal.policyholder.to_string(),
        state: state(proposal.state).into(),
        claimed: proposal.claimed,
        messages: proposal.detail.said.iter().map(said).collect(),
        terms: proposal.detail.terms.iter().map(terms).collect(),
        decline_reason_codes: proposal.detail.reasons.clone(),
        create_time: Some(proposal.created.to_wire()),
        update_time: Some(proposal.updated.to_wire()),
    }
}

fn state(state: ProposalState) -> wire::ProposalState {
    match state {
        ProposalState::Proposed => wire::ProposalState::Proposed,
        ProposalState::UnderReview => wire::ProposalState::UnderReview,
        ProposalState::InformationAsked => wire::ProposalState::InformationAsked,
        ProposalState::TermsOffered => wire::ProposalState::TermsOffered,
        ProposalState::Accepted => wire::ProposalState::Accepted,
        ProposalState::Declined => wire::ProposalState::Declined,
        ProposalState::Withdrawn => wire::ProposalState::Withdrawn,
    }
}

/// Which part of the queue is asked for.
pub(in crate::grpc) fn state_of(state: wire::ProposalState) -> Result<ProposalState, Violation> {
    Ok(match state {
        wire::ProposalState::Proposed => ProposalState::Proposed,
        wire::ProposalState::UnderReview => ProposalState::UnderReview,
        wire::ProposalState::InformationAsked => ProposalState::InformationAsked,
        wire::ProposalState::TermsOffered => ProposalState::TermsOffered,
        wire::ProposalState::Accepted => ProposalState::Accepted,
        wire::ProposalState::Declined => ProposalState::Declined,
        wire::ProposalState::Withdrawn => ProposalState::Withdrawn,
        wire::ProposalState::Unspecified => {
            return Err(Violation::new("in_state", "enum.not_in", "must be said"));
        }
    })
}

fn terms(terms: &Terms) -> wire::UnderwritingTerms {
    wire::UnderwritingTerms {
        person_id: terms.person.to_string(),
        load_bps: i32::try_from(terms.load_bps).unwrap_or(i32::MAX),
        excluded_codes: terms.excluded.clone(),
        excluded_months: terms.months.map_or(0, |months| i32::try_from(months).unwrap_or(i32::MAX)),
    }
}

/// What an underwriter decides: terms only with an acceptance, reasons only and always with a refusal.
pub(in crate::grpc) fn decision(request: wire::DecideProposalRequest) -> Result<Act, Violation> {
    let decision = request.decision();
    let (terms, reasons) = (request.terms, request.decline_reason_codes);
    match decision {
        wire::ProposalDecision::Accept if reasons.is_empty() => {
            let terms = terms.into_iter().enumerate().map(terms_of).collect::<Result<_, _>>()?;
            Ok(Act::Accept(terms))
        }
        wire::ProposalDecision::Decline if terms.is_empty() && !reasons.is_empty() => {
            Ok(Act::Decline(reasons))
        }
        _ => Err(Violation::new("decision", "decision.fits", "must come with terms or reasons of its own")),
    }
}

fn terms_of((n, terms): (usize, wire::UnderwritingTerms)) -> Result<Terms, Violation> {
    let months: u32 = super::benefit::number(&format!("terms[{n}].excluded_months"), terms.excluded_months)?;
    Ok(Terms {
        person: shared::id(&format!("terms[{n}].person_id"), &terms.person_id)?,
        load_bps: super::benefit::number(&format!("terms[{n}].load_bps"), terms.load_bps)?,
        excluded: terms.excluded_codes,
        months: (months > 0).then_some(months),
    })
}
