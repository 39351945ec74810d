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
const UNREAD_LIMIT: Duration = Duration::from_secs(5);
/// How much of it is read; who sends more has to live with a reset.
const UNREAD_BYTES: usize = 32 << 20;
/// What a caller is told to wait when there is no room for its message.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// The answer to a call whose body has not been read.
pub(crate) fn answer_unread(body: Body, refusal: Refusal) -> Response {
    read_out(body);
    refuse(refusal)
}

/// Reads what is still on its way, in the background and within bounds. A connection that is closed
/// over unread bytes is reset, and the answer is lost with it: a browser that uploads a large message
/// would show a network error in place of the refusal.
pub(crate) fn read_out(body: Body) {
    if !http_body::Body::is_end_stream(&body) {
        tokio::spawn(tokio::time::timeout(UNREAD_LIMIT, discard(body)));
    }
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
