//! A step of the edge that only looks at the head of a call and lets it pass or refuses it.
//! Must not know what any step decides.

use caremesh_mesh::layer::{Around, Next, Request, Response};
use caremesh_mesh::refusal::Refusal;

use crate::refuse::answer_unread;

/// A decision over the head of a call. It may leave what it found in the request's extensions.
pub(crate) trait Gate: Send + Sync + 'static {
    /// Lets the call pass.
    ///
    /// # Errors
    /// The refusal that the caller gets.
    fn pass(&self, request: &mut Request) -> Result<(), Refusal>;
}

/// Puts a [`Gate`] into the row of steps.
#[derive(Debug, Clone)]
pub(crate) struct At<G>(pub(crate) G);

impl<G: Gate> Around for At<G> {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        match self.0.pass(request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => answer_unread(std::mem::take(request.body_mut()), refusal),
        }
    }
}
