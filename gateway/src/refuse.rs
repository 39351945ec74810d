//! Turns a refusal of the contract into an answer that every kind of caller can read.
//! Must not decide anything.

use std::time::Duration;

use caremesh_mesh::reason::{CommonReason, Reason};
use caremesh_mesh::refusal::Refusal;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

use crate::frame::BodyFault;

/// How long the rest of a refused call is read.
const UNREAD_LIMIT: Duration = Duration::from_secs(1);
/// How much of it is read.
const UNREAD_BYTES: usize = 64 * 1024;

/// A refusal without details of its own.
pub(crate) fn refusal(reason: impl Reason) -> Refusal {
    Refusal::new(reason)
}

/// The answer to a call that went no further: status and details in the headers, no body
/// ("Trailers-Only"). tonic-web leaves the headers as they are, and CORS lets browsers read them.
pub(crate) fn answer(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// The answer to a call whose body has not been read. What is on its way is read to its end first, in
/// the background: HTTP/2 would reset the stream otherwise, and a connection with many resets is
/// closed for all its calls (hyperium/h2 #856).
pub(crate) fn answer_unread(body: Body, refusal: Refusal) -> Response<Body> {
    if !http_body::Body::is_end_stream(&body) {
        tokio::spawn(tokio::time::timeout(UNREAD_LIMIT, discard(body)));
    }
    answer(refusal)
}

async fn discard(mut body: Body) {
    let mut left = UNREAD_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
        if left == 0 {
            return;
        }
    }
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
        BodyFault::NoRoom => refusal(CommonReason::Overloaded).retry_after(Duration::from_secs(1)),
    }
}
