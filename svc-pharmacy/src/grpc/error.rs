//! From what a use case refuses to the reason of the contract: one table, total. The cause of a fault is logged here, once,
//! and never told.

use std::time::Duration;

use caremesh_db::Error as DbError;
use caremesh_kernel::BranchId;
use caremesh_mesh::wire::Violation;
use caremesh_mesh::{CallContext, CommonReason, Refusal};
use caremesh_proto::pharmacy::v1::PharmacyReason;
use tonic::Status;

use crate::app::Error;
use crate::clients::CallError;
use crate::domain::order::Refusal as OrderRefusal;
use crate::domain::prescription::{DocumentFault, FillRefusal, StateForbids, SubstitutionRefusal};
use crate::domain::stock::Refusal as StockRefusal;

/// After which time a shed or overtaken caller may come back.
const COME_BACK: Duration = Duration::from_millis(50);
/// After which time a search may be tried again while the engine is away.
const SEARCH_AGAIN: Duration = Duration::from_secs(2);

/// The status of a failed call.
pub(super) fn status(context: &CallContext, error: Error) -> Status {
    if let Error::Store(cause) = &error
        && is_fault(cause)
    {
        tracing::error!(call.id = context.call_id(), error = %cause, "a call failed in the store");
    }
    if let Error::Search(cause) = &error {
        tracing::warn!(call.id = context.call_id(), error = %cause, "a search failed");
    }
    refusal(error).into()
}

/// The refusal that a use case's error is.
pub(super) fn refusal(error: Error) -> Refusal {
    use CommonReason as Common;
    use PharmacyReason as Pharmacy;
    match error {
        Error::Store(cause) => store(&cause),
        Error::Call(cause) => call(&cause),
        Error::NotFound => Refusal::new(Common::ResourceNotFound),
        Error::Field { field, rule } => Refusal::new(Common::FieldInvalid).field(field, rule),
        Error::Stale => Refusal::new(Common::StaleVersion),
        Error::Search(_) => Refusal::new(Pharmacy::SearchDown).retry_after(SEARCH_AGAIN),
        Error::Cursor => Refusal::new(Pharmacy::CursorInvalid),
        Error::Stock(refusal) => stock(&refusal),
        Error::Shortage { next } => shortage(next),
        Error::Unlicensed(unlicensed) => Refusal::new(Pharmacy::BranchNotLicensed).precondition(
            unlicensed.kind.name(),
            "branch",
            "The licence does not hold today.",
        ),
        Error::NotRegistered => Refusal::new(Pharmacy::PharmacistNotRegistered),
        Error::AlreadyIssued(id) => {
            Refusal::new(Pharmacy::PrescriptionAlreadyIssued).metadata("prescription_id", id.to_string())
        }
        Error::State(forbids) => state(&forbids),
        Error::Controlled(refusal) => Refusal::new(Pharmacy::ControlledNotAllowed).precondition(
            refusal.rule,
            refusal.class,
            "The class of the medicine does not allow it.",
        ),
        Error::Item(fault) => Refusal::new(Pharmacy::ItemsInvalid)
            .field(format!("items[{}].{}", fault.index, fault.field), fault.rule),
        Error::Fill(refusal) => fill(&refusal),
        Error::Substitution(SubstitutionRefusal::NoConsent) => {
            Refusal::new(Pharmacy::SubstitutionConsentMissing)
        }
        Error::Substitution(_) => Refusal::new(Pharmacy::SubstitutionNotAllowed),
        Error::Unsafe { issues } => {
            issues.into_iter().fold(Refusal::new(Pharmacy::SafetyBlocked), |refusal, issue| {
                refusal.precondition("SAFETY_ISSUE", issue, "The finding has not been overridden.")
            })
        }
        Error::NotSold(product) => {
            Refusal::new(Pharmacy::ProductNotSold).metadata("product_id", product.to_string())
        }
        Error::Price { member } => {
            Refusal::new(Pharmacy::PriceChanged).metadata("member_minor", member.to_string())
        }
        Error::Prescription { sequence } => {
            Refusal::new(Pharmacy::PrescriptionMissing).metadata("sequence", sequence.to_string())
        }
        Error::Order(refusal) => order(&refusal),
        Error::NotYours => Refusal::new(Pharmacy::VerificationNotYours),
        Error::PaperUsed => Refusal::new(Pharmacy::PaperAlreadyUsed),
        Error::UploadExpired => Refusal::new(Pharmacy::UploadExpired),
        Error::OtherDocument => Refusal::new(Pharmacy::DocumentDigestMismatch),
        Error::Incomplete => Refusal::new(Pharmacy::DocumentIncomplete),
        Error::Document(fault) => Refusal::new(match fault {
            DocumentFault::Empty => Pharmacy::DocumentEmpty,
            DocumentFault::Unsupported => Pharmacy::DocumentTypeUnsupported,
            DocumentFault::OtherKind => Pharmacy::DocumentTypeMismatch,
            DocumentFault::Damaged => Pharmacy::DocumentDamaged,
        }),
    }
}

fn stock(refusal: &StockRefusal) -> Refusal {
    use PharmacyReason as Pharmacy;
    match refusal {
        StockRefusal::Shortage { .. } => shortage(None),
        StockRefusal::Unit => Refusal::new(Pharmacy::UnitMismatch),
        StockRefusal::Expired => Refusal::new(Pharmacy::LotExpired),
        StockRefusal::Recalled => Refusal::new(Pharmacy::LotRecalled),
        StockRefusal::OtherExpiry => Refusal::new(Pharmacy::LotMismatch),
        StockRefusal::Closed(_) => Refusal::new(Pharmacy::ReservationClosed),
        StockRefusal::Unknown => Refusal::new(CommonReason::ResourceNotFound),
    }
}

fn order(refusal: &OrderRefusal) -> Refusal {
    match refusal {
        OrderRefusal::State(forbids) => Refusal::new(PharmacyReason::OrderStateForbids).precondition(
            "ORDER_STATE",
            forbids.state,
            "The state forbids it.",
        ),
        OrderRefusal::NoParcel => Refusal::new(CommonReason::ResourceNotFound),
        OrderRefusal::Parcel => Refusal::new(PharmacyReason::ParcelExceedsOrder),
        OrderRefusal::Return => Refusal::new(PharmacyReason::ReturnExceedsDelivery),
    }
}

/// How much is there is nobody's business: only where else to go.
fn shortage(next: Option<BranchId>) -> Refusal {
    let refusal = Refusal::new(PharmacyReason::StockInsufficient);
    match next {
        Some(branch) => refusal.metadata("next_branch_id", branch.to_string()),
        None => refusal,
    }
}

fn state(forbids: &StateForbids) -> Refusal {
    Refusal::new(PharmacyReason::PrescriptionStateForbids).precondition(
        "PRESCRIPTION_STATE",
        forbids.state,
        "The state forbids it.",
    )
}

fn fill(refusal: &FillRefusal) -> Refusal {
    use PharmacyReason as Pharmacy;
    match refusal {
        FillRefusal::State(forbids) => state(forbids),
        FillRefusal::Unit => Refusal::new(Pharmacy::UnitMismatch),
        FillRefusal::Exhausted => Refusal::new(Pharmacy::FillsExhausted),
        FillRefusal::TooMuch { owed } => {
            Refusal::new(Pharmacy::QuantityExceeded).metadata("owed", owed.to_string())
        }
        FillRefusal::TooSoon { next } => {
            Refusal::new(Pharmacy::RefillTooSoon).metadata("next_fill_date", next.to_string())
        }
    }
}

/// What another service refused is no fault of this caller's unless a use case has made a reason of it before.
fn call(cause: &CallError) -> Refusal {
    match cause {
        CallError::Unavailable => Refusal::new(CommonReason::DependencyDown).retry_after(COME_BACK),
        CallError::Refused(_) | CallError::Unreadable => Refusal::new(CommonReason::Internal),
    }
}

/// A field that could not be converted.
pub(super) fn violation(violation: Violation) -> Status {
    violation.join(Refusal::new(CommonReason::FieldInvalid)).into()
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
