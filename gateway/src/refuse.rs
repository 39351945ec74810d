//! Turns a refusal of the contract into an answer that every kind of caller can read.
//! Must not decide anything.

use caremesh_mesh::reason::{CommonReason, Reason};
use caremesh_mesh::refusal::Refusal;
use http::{HeaderMap, Response};
use tonic::Status;
use tonic::body::Body;

use crate::frame::BodyFault;

/// A refusal without details of its own.
pub(crate) fn refusal(reason: impl Reason) -> Refusal {
    Refusal::new(reason)
}

/// The answer to a call that went no further: status and details in the headers, no body
/// ("Trailers-Only"). tonic-web leaves the headers as they are, and CORS lets browsers read them.
pub(crate) fn answer(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// The trailers that end an answer whose headers are gone already.
pub(crate) fn trailers(refusal: Refusal) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Only fails for metadata that is no valid header, and a refusal has none.
    let _ = Status::from(refusal).add_header(&mut headers);
    headers
}

/// What a broken request body means to the caller.
pub(crate) fn of_fault(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge { limit_bytes } => {
            refusal(CommonReason::MessageTooLarge).metadata("limit_bytes", limit_bytes.to_string())
        }
        BodyFault::Malformed(rule) => refusal(CommonReason::MessageMalformed).metadata("rule", rule),
        BodyFault::NoRoom => refusal(CommonReason::Overloaded).retry_after(std::time::Duration::from_secs(1)),
    }
}
