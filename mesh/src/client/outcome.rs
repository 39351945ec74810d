//! What an answer says of the replica and the service that gave it. Must not know what is done with that.

use tonic::Code;

use crate::layer::Response;

/// The code in the answer's head: an error without a message. None: a message follows, so somebody works.
pub(super) fn code_of(response: &Response) -> Option<Code> {
    crate::telemetry::code_of(response.headers()).filter(|code| *code != Code::Ok)
}

/// Whether the answer says that whoever gave it does not work. A refusal of the business is good work, and one
/// that sheds load (RESOURCE_EXHAUSTED) is as it should be.
pub(super) fn is_failure(response: &Response) -> bool {
    matches!(
        code_of(response),
        Some(Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::Unknown | Code::DataLoss)
    )
}
