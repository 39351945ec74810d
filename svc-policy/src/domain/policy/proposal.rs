//! A proposal before an underwriter: which quotes need one, where it stands, and the terms on which it is accepted. A state is
//! a value; what is not in `after` does not exist.

use caremesh_kernel::{Date, PersonId};
use serde::{Deserialize, Serialize};

use super::QuoteMember;
use crate::domain::plan::PlanVersion;

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalState {
    /// Submitted; nobody has looked yet.
    Proposed,
    /// With an underwriter.
    UnderReview,
    /// The underwriter waits for an answer.
    InformationAsked,
    /// Accepted on terms that the proposer has not agreed to yet.
    TermsOffered,
    /// Accepted: the quote can be bought and paid.
    Accepted,
    /// Declined.
    Declined,
    /// Taken back by the proposer.
    Withdrawn,
}

/// What happens to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalEvent {
    /// An underwriter takes it.
    Claim,
    /// The underwriter asks.
    Ask,
    /// The proposer answers.
    Answer,
    /// The underwriter accepts it as it is.
    Accept,
    /// The underwriter offers terms.
    Offer,
    /// The underwriter declines.
    Decline,
    /// The proposer agrees to the terms.
    Agree,
    /// The proposer takes it back.
    Withdraw,
}

/// The transition does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proposal is {}", .0.name())]
pub struct NotNow(pub ProposalState);

impl ProposalState {
    const ALL: [Self; 7] = [
        Self::Proposed,
        Self::UnderReview,
        Self::InformationAsked,
        Self::TermsOffered,
        Self::Accepted,
        Self::Declined,
        Self::Withdrawn,
    ];

    /// The next state.
    ///
    /// # Errors
    /// [`NotNow`] for every transition that is not listed here.
    pub fn after(self, event: ProposalEvent) -> Result<Self, NotNow> {
        use ProposalEvent as On;
        Ok(match (self, event) {
            (Self::Proposed, On::Claim) | (Self::InformationAsked, On::Answer) => Self::UnderReview,
            (Self::UnderReview, On::Ask) => Self::InformationAsked,
            (Self::UnderReview, On::Accept) | (Self::TermsOffered, On::Agree) => Self::Accepted,
            (Self::UnderReview, On::Offer) => Self::TermsOffered,
            (Self::UnderReview, On::Decline) => Self::Declined,
            (
                Self::Proposed | Self::UnderReview | Self::InformationAsked | Self::TermsOffered,
                On::Withdraw,
            ) => Self::Withdrawn,
            _ => return Err(NotNow(self)),
        })
    }

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "PROPOSED",
            Self::UnderReview => "UNDER_REVIEW",
            Self::InformationAsked => "INFORMATION_ASKED",
            Self::TermsOffered => "TERMS_OFFERED",
            Self::Accepted => "ACCEPTED",
            Self::Declined => "DECLINED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What an underwriter asks of one person on top of the plan. It has no Debug: it is health data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whom it is about.
    pub person: PersonId,
    /// On top of the person's premium, basis points.
    #[serde(default)]
    pub load_bps: u32,
    /// Prefixes of ICD-10 codes that are not covered.
    #[serde(default)]
    pub excluded: Vec<String>,
    /// For how many months from the start of cover; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<u32>,
}

/// Whether an underwriter must look at a quote: a condition was declared that the plan names, or somebody is of an age that it
/// names. Ages count on the first day of cover.
#[must_use]
pub fn needs_review(plan: &PlanVersion, members: &[QuoteMember], births: &[Date], start: Date) -> bool {
    let Some(rules) = &plan.underwriting else { return false };
    let named = |code: &String| rules.conditions.iter().any(|prefix| code.starts_with(prefix.as_str()));
    let declared = members.iter().any(|member| member.declared.iter().any(named));
    declared || births.iter().any(|birth| rules.from_age.is_some_and(|age| birth.age_on(start) >= age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [ProposalEvent; 8] = [
        ProposalEvent::Claim,
        ProposalEvent::Ask,
        ProposalEvent::Answer,
        ProposalEvent::Accept,
        ProposalEvent::Offer,
        ProposalEvent::Decline,
        ProposalEvent::Agree,
        ProposalEvent::Withdraw,
    ];

    #[test]
    fn every_transition_of_a_proposal_that_is_not_in_the_table_is_refused() {
        let mut found = Vec::new();
        for state in ProposalState::ALL {
            for event in EVENTS {
                match state.after(event) {
                    Ok(next) => found.push((state.name(), format!("{event:?}"), next.name())),
                    Err(refused) => assert_eq!(refused, NotNow(state)),
                }
            }
        }
        let table = [
            ("PROPOSED", "Claim", "UNDER_REVIEW"),
            ("PROPOSED", "Withdraw", "WITHDRAWN"),
            ("UNDER_REVIEW", "Ask", "INFORMATION_ASKED"),
            ("UNDER_REVIEW", "Accept", "ACCEPTED"),
            ("UNDER_REVIEW", "Offer", "TERMS_OFFERED"),
            ("UNDER_REVIEW", "Decline", "DECLINED"),
            ("UNDER_REVIEW", "Withdraw", "WITHDRAWN"),
            ("INFORMATION_ASKED", "Answer", "UNDER_REVIEW"),
            ("INFORMATION_ASKED", "Withdraw", "WITHDRAWN"),
            ("TERMS_OFFERED", "Agree", "ACCEPTED"),
            ("TERMS_OFFERED", "Withdraw", "WITHDRAWN"),
        ];
        let table: Vec<_> = table.map(|(from, event, to)| (from, event.to_owned(), to)).to_vec();
        assert_eq!(found, table);
        assert!(ProposalState::ALL.into_iter().all(|state| ProposalState::of(state.name()) == Some(state)));
    }
}
