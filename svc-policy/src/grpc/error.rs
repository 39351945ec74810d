//! From what a use case refuses to the reason of the contract: one table, total. The cause of a fault is logged here, once,
//! and never told.

use std::time::Duration;

use caremesh_db::Error as DbError;
use caremesh_mesh::refusal::any;
use caremesh_mesh::wire::Violation;
use caremesh_mesh::{CallContext, CommonReason, Refusal};
use caremesh_proto::policy::v1::{BalanceConflict, PolicyReason};
use tonic::Status;

use super::convert::benefit::account_balance;
use crate::app::{Error, Offer};
use crate::domain::account::Account;
use crate::domain::eligibility::FamilyBreach;
use crate::domain::ledger::LedgerRefusal;
use crate::domain::life::ChangeRefusal;
use crate::domain::policy::{NotNow, PaymentRefusal, PurchaseRefusal};

/// After which time a shed or overtaken caller may come back.
const COME_BACK: Duration = Duration::from_millis(50);

/// The status of a failed call.
pub(super) fn status(context: &CallContext, error: Error) -> Status {
    if let Error::Store(cause) = &error
        && is_fault(cause)
    {
        tracing::error!(call.id = context.call_id(), error = %cause, "a call failed in the store");
    }
    refusal(error).into()
}

/// The refusal that a use case's error is.
pub(super) fn refusal(error: Error) -> Refusal {
    use CommonReason as Common;
    use PolicyReason as Policy;
    match error {
        Error::Store(cause) => store(&cause),
        Error::NotFound => Refusal::new(Common::ResourceNotFound),
        Error::Field { field, rule } => Refusal::new(Common::FieldInvalid).field(field, rule),
        Error::Stale => Refusal::new(Common::StaleVersion),
        Error::PageToken => Refusal::new(Common::PageTokenInvalid),
        Error::Cursor => Refusal::new(Policy::CursorInvalid),
        Error::Ledger { refusal, balances } => ledger(&refusal, &balances),
        Error::NotYourTurn { balances } => conflict(Policy::BalanceChanged, &balances).retry_after(COME_BACK),
        Error::Collided => conflict(Policy::BalanceChanged, &[]).retry_after(COME_BACK),
        Error::AlreadyPosted => Refusal::new(Policy::PostingAlreadyMade),
        Error::Purchase(refusal) => purchase(refusal),
        Error::Payment(refusal) => payment(refusal),
        Error::Proposal(NotNow(state)) => Refusal::new(Policy::ProposalStateForbids).precondition(
            state.name(),
            "proposal".to_owned(),
            "The proposal does not stand where this can be done.",
        ),
        Error::NotAccepted => Refusal::new(Policy::ProposalNotAccepted),
        Error::ReferenceReused => Refusal::new(Policy::PaymentReferenceReused),
        Error::Offer(refusal) => offer(&refusal),
        Error::Change(refusal) => change(&refusal),
        Error::Line { line, field, rule } => {
            Refusal::new(Policy::LinesInvalid).field_explained(line_path(line, field), "lines.rule", rule)
        }
        Error::NoCover => Refusal::new(Policy::NoCoverAtEventDate),
        Error::Snapshot => Refusal::new(Policy::SnapshotInvalid),
        Error::OtherCurrency => Refusal::new(Policy::CurrencyMismatch),
    }
}

/// A field that could not be converted.
pub(super) fn violation(violation: Violation) -> Status {
    violation.join(Refusal::new(CommonReason::FieldInvalid)).into()
}

fn line_path(line: u32, field: &str) -> String {
    if line == 0 { format!("event.{field}") } else { format!("lines[sequence={line}].{field}") }
}

fn is_fault(cause: &DbError) -> bool {
    !matches!(
        cause,
        DbError::RequestIdReused | DbError::RequestInProgress | DbError::Stale { .. } | DbError::Overloaded
    )
}

fn store(cause: &DbError) -> Refusal {
    use CommonReason as Common;
    match cause {
        DbError::Overloaded | DbError::Contended => Refusal::new(Common::Overloaded).retry_after(COME_BACK),
        DbError::Unreachable(_) | DbError::Draining => Refusal::new(Common::DependencyDown),
        DbError::OutOfTime => Refusal::new(Common::Deadline),
        DbError::Stale { .. } => Refusal::new(Common::StaleVersion),
        DbError::RequestIdReused => Refusal::new(Common::RequestIdReused),
        DbError::RequestInProgress => Refusal::new(Common::RequestInProgress),
        DbError::KeyDestroyed => Refusal::new(Common::ResourceNotFound),
        // The kit's list may grow; whatever it does not name is a fault of ours.
        _ => Refusal::new(Common::Internal),
    }
}

fn ledger(refusal: &LedgerRefusal, balances: &[Account]) -> Refusal {
    use PolicyReason as Policy;
    match refusal {
        LedgerRefusal::Stale => conflict(Policy::BalanceChanged, balances),
        LedgerRefusal::VersionMissing { account } => Refusal::new(Policy::LegsInvalid)
            .field("expected_versions", "legs.version_of_each_account")
            .metadata("account_id", account.to_string()),
        LedgerRefusal::Exhausted { layer, room } => conflict(Policy::BenefitExhausted, balances)
            .metadata("layer_id", layer.to_string())
            .metadata("room", room.to_string()),
        LedgerRefusal::LayerNotOpen { layer } => {
            Refusal::new(Policy::LayerUnknown).metadata("layer_id", layer.to_string())
        }
        LedgerRefusal::HoldExpired { hold } => {
            Refusal::new(Policy::HoldExpired).metadata("hold_id", hold.to_string())
        }
        LedgerRefusal::HoldUnknown { hold } => {
            Refusal::new(Policy::HoldNotFound).metadata("hold_id", hold.to_string())
        }
        LedgerRefusal::HoldClosed { hold } => {
            Refusal::new(Policy::HoldClosed).metadata("hold_id", hold.to_string())
        }
        LedgerRefusal::MoreThanHeld { layer, held } => Refusal::new(Policy::CaptureExceedsHold)
            .metadata("layer_id", layer.to_string())
            .metadata("held", held.to_string()),
        LedgerRefusal::CaptureUnknown { .. } => Refusal::new(Policy::PostingNotFound),
        LedgerRefusal::MoreThanCaptured { layer, captured } => Refusal::new(Policy::ReversalExceedsCapture)
            .metadata("layer_id", layer.to_string())
            .metadata("captured", captured.to_string()),
        LedgerRefusal::CountStays { account } => Refusal::new(Policy::LegsInvalid)
            .field("instructions.legs", "reverse.counts_need_event_did_not_happen")
            .metadata("account_id", account.to_string()),
        LedgerRefusal::AlreadyRestored { layer } => {
            Refusal::new(Policy::GrantNotAllowed).metadata("layer_id", layer.to_string())
        }
        LedgerRefusal::NotExhausted { account } | LedgerRefusal::GrantUnknown { account } => {
            Refusal::new(Policy::GrantNotAllowed).metadata("account_id", account.to_string())
        }
        LedgerRefusal::RecoveryMissing { layer, .. } => {
            Refusal::new(Policy::GrantNotAllowed).metadata("layer_id", layer.to_string())
        }
        LedgerRefusal::AccountUnknown { account } => {
            Refusal::new(Policy::AccountUnknown).metadata("account_id", account.to_string())
        }
        LedgerRefusal::NoCover => Refusal::new(Policy::NoCoverAtEventDate),
        LedgerRefusal::TermClosed => Refusal::new(Policy::TermClosed),
        LedgerRefusal::Malformed { field, rule } => {
            Refusal::new(Policy::LegsInvalid).field_explained(*field, "legs.rule", *rule)
        }
    }
}

/// "Price again", with the balances to price on.
fn conflict(reason: PolicyReason, balances: &[Account]) -> Refusal {
    let balances = balances.iter().map(|account| account_balance(account, None)).collect();
    Refusal::new(reason).detail(any("caremesh.policy.v1.BalanceConflict", &BalanceConflict { balances }))
}

fn purchase(refusal: PurchaseRefusal) -> Refusal {
    match refusal {
        PurchaseRefusal::Expired => Refusal::new(PolicyReason::QuoteExpired),
        PurchaseRefusal::AlreadyPurchased(policy) => {
            Refusal::new(PolicyReason::QuoteAlreadyPurchased).metadata("policy_id", policy.to_string())
        }
    }
}

fn payment(refusal: PaymentRefusal) -> Refusal {
    match refusal {
        PaymentRefusal::OtherCurrency => Refusal::new(PolicyReason::CurrencyMismatch),
        PaymentRefusal::NotWhatIsDue { due } => {
            Refusal::new(PolicyReason::PaymentAmountMismatch).metadata("due_minor", due.to_string())
        }
        PaymentRefusal::Lapsed => Refusal::new(PolicyReason::PolicyLapsed),
        PaymentRefusal::Expired => Refusal::new(PolicyReason::QuoteExpired),
        PaymentRefusal::InTheFuture => {
            Refusal::new(CommonReason::FieldInvalid).field("receive_time", "timestamp.not_in_future")
        }
    }
}

fn change(refusal: &ChangeRefusal) -> Refusal {
    use PolicyReason as Policy;
    match refusal {
        ChangeRefusal::NotInForce => Refusal::new(Policy::PolicyNotInForce),
        ChangeRefusal::Day => Refusal::new(Policy::EffectiveDateNotAllowed),
        ChangeRefusal::RenewalNotOpen => Refusal::new(Policy::RenewalNotOpen),
        ChangeRefusal::FreeLookOver => Refusal::new(Policy::FreeLookOver),
        ChangeRefusal::AlreadyMember => Refusal::new(Policy::MemberAlreadyCovered),
        ChangeRefusal::NotCovered => Refusal::new(Policy::MemberNotCovered),
        ChangeRefusal::OtherPlan(rule) => Refusal::new(Policy::PlanChangeNotAllowed).precondition(
            *rule,
            "plan_version_id".to_owned(),
            "The policy cannot go on under this plan.",
        ),
        ChangeRefusal::Family(breaches) => {
            let rule = breaches.first().map_or("NO_RATE", FamilyBreach::rule);
            Refusal::new(Policy::FamilyNotAllowed).precondition(
                rule,
                "members".to_owned(),
                "The plan's family rules forbid it.",
            )
        }
    }
}

fn offer(refusal: &Offer) -> Refusal {
    match refusal {
        Offer::NotOnSale => Refusal::new(PolicyReason::PlanNotOnSale),
        Offer::SumInsured => Refusal::new(PolicyReason::SumInsuredNotOffered),
        Offer::StartDate => Refusal::new(PolicyReason::StartDateNotAllowed),
        Offer::PriorCover => Refusal::new(PolicyReason::PriorCoverNotCredited),
        Offer::Family { member, rule } => {
            let subject = member.map_or("members".to_owned(), |member| format!("members[{member}]"));
            Refusal::new(PolicyReason::FamilyNotAllowed).precondition(
                *rule,
                subject,
                "The plan's family rules forbid it.",
            )
        }
    }
}
