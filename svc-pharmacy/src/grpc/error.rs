//! From what a use case refuses to the reason of the contract: one table, total. The cause of a fault is logged here, once,
//! and never told.

use std::time::Duration;

use caremesh_db::Error as DbError;
use caremesh_mesh::wire::Violation;
use caremesh_mesh::{CallContext, CommonReason, Refusal};
use caremesh_proto::pharmacy::v1::PharmacyReason;
use tonic::Status;

use crate::app::Error;
use crate::clients::CallError;

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
    use PharmacyReason as Pharmacy;
    match error {
        Error::Store(cause) => store(&cause),
        Error::Call(cause) => call(&cause),
        Error::NotFound => Refusal::new(Common::ResourceNotFound),
        Error::Field { field, rule } => Refusal::new(Common::FieldInvalid).field(field, rule),
        Error::Stale => Refusal::new(Common::StaleVersion),
        Error::Cursor => Refusal::new(Pharmacy::CursorInvalid),
    }
}

/// What another service refused is no fault of this caller's unless a use case has made a reason of it before.
fn call(cause: &CallError) -> Refusal {
    match cause {
        CallError::Unavailable => Refusal::new(CommonReason::DependencyDown).retry_after(COME_BACK),
        CallError::Refused(_) => Refusal::new(CommonReason::Internal),
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
