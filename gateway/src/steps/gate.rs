//! A step of the edge that only looks at the head of a call and lets it pass or refuses it.
//! Must not know what any step decides.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use caremesh_mesh::refusal::Refusal;
use futures::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::refuse::answer_unread;

/// A decision over the head of a call. It may leave what it found in the request's extensions.
pub(crate) trait Gate: Clone + Send + 'static {
    /// Lets the call pass.
    ///
    /// # Errors
    /// The refusal that the caller gets.
    fn pass(&self, request: &mut Request<Body>) -> Result<(), Refusal>;
}

/// Puts a [`Gate`] into the row of steps.
#[derive(Debug, Clone)]
pub(crate) struct GateLayer<G>(pub(crate) G);

impl<G: Clone, S> Layer<S> for GateLayer<G> {
    type Service = Gated<G, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated { gate: self.0.clone(), inner }
    }
}

/// The service behind a [`Gate`].
#[derive(Debug, Clone)]
pub(crate) struct Gated<G, S> {
    gate: G,
    inner: S,
}

impl<G, S> Service<Request<Body>> for Gated<G, S>
where
    G: Gate,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.gate.pass(&mut request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refusal) => Either::Left(ready(Ok(answer_unread(request.into_body(), refusal)))),
        }
    }
}
