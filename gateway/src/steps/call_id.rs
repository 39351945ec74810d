//! Tells the caller the id under which the call stands in our logs: with a refusal it is all that a
//! person at the telephone can read out. Must not know where the id comes from.

use caremesh_mesh::layer::{Around, Next, Request, Response};
use caremesh_mesh::opening::CALL_ID;

/// Puts the call id into each answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShowCallId;

impl Around for ShowCallId {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        // As the trace has written it for the next hop.
        let id = request.headers().get(CALL_ID).cloned();
        let mut response = next.run(request).await;
        if let Some(id) = id {
            response.headers_mut().insert(CALL_ID, id);
        }
        response
    }
}
