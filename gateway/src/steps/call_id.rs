//! Tells the caller the id under which the call stands in our logs: with a refusal it is all that a
//! person at the telephone can read out. Must not know where the id comes from.

use caremesh_mesh::layer::{Around, Next, Request, Response};
use caremesh_mesh::opening::CALL_ID;
use caremesh_mesh::telemetry::CallId;
use http::HeaderValue;

/// Puts the call id into each answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShowCallId;

impl Around for ShowCallId {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let id = request.extensions().get::<CallId>().cloned();
        let mut response = next.run(request).await;
        if let Some(value) = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
            response.headers_mut().insert(CALL_ID, value);
        }
        response
    }
}
