//! Refusals of calls whose body is in an unfinished or broken state.
//! Must not decide anything.

use std::time::Duration;

use caremesh_mesh::layer::{Response, refuse};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http_body_util::BodyExt;
use tonic::body::Body;

use crate::frame::BodyFault;

/// How long the rest of a refused call is read.
const UNREAD_LIMIT: Duration = Duration::from_secs(1);
/// How much of it is read.
const UNREAD_BYTES: usize = 64 * 1024;
/// What a caller is told to wait when there is no room for its message.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// The answer to a call whose body has not been read. What is on its way is read to its end first, in
/// the background: HTTP/2 would reset the stream otherwise, and a connection with many resets is
/// closed for all its calls (hyperium/h2 #856).
pub(crate) fn answer_unread(body: Body, refusal: Refusal) -> Response {
    if !http_body::Body::is_end_stream(&body) {
        tokio::spawn(tokio::time::timeout(UNREAD_LIMIT, discard(body)));
    }
    refuse(refusal)
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

/// What a broken request body means to the caller.
pub(crate) fn of_fault(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge { limit_bytes } => {
            Refusal::new(CommonReason::MessageTooLarge).metadata("limit_bytes", limit_bytes.to_string())
        }
        BodyFault::Malformed(rule) => Refusal::new(CommonReason::MessageMalformed).metadata("rule", rule),
        BodyFault::NoRoom => Refusal::new(CommonReason::Overloaded).retry_after(ROOM_WAIT),
    }
}
