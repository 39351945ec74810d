//! Tells the caller the id under which the call stands in our logs: with a refusal it is all that a
//! person at the telephone can read out. Must not know where the id comes from.

use std::convert::Infallible;
use std::task::{Context, Poll};

use caremesh_mesh::telemetry::CallId;
use futures::FutureExt;
use futures::future::Map;
use http::{HeaderName, HeaderValue, Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// The header of the answer.
pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("x-caremesh-call-id");

/// Puts the call id into each answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShowCallId;

impl<S> Layer<S> for ShowCallId {
    type Service = Shown<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Shown { inner }
    }
}

/// The service behind [`ShowCallId`].
#[derive(Debug, Clone)]
pub(crate) struct Shown<S> {
    inner: S,
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Shown<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Map<S::Future, Box<dyn FnOnce(Answer) -> Answer + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = request.extensions().get::<CallId>().cloned();
        self.inner.call(request).map(Box::new(move |answer| answer.map(|it| show(it, id))))
    }
}

fn show(mut response: Response<Body>, id: Option<CallId>) -> Response<Body> {
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        response.headers_mut().insert(CALL_ID, value);
    }
    response
}
