//! Sends gRPC one way and plain HTTP the other, before tonic-web could answer 400 to the latter.
//! Must not know services or files.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use tonic::body::Body;
use tower::{Layer, Service};

use super::content_type::{Speech, tune};
use crate::forward::headers::clean_inbound;

/// Splits off plain HTTP to `plain`.
#[derive(Debug, Clone)]
pub(crate) struct SpeechLayer<P> {
    plain: P,
}

impl<P> SpeechLayer<P> {
    /// Plain HTTP goes to `plain`.
    pub(crate) fn new(plain: P) -> Self {
        Self { plain }
    }
}

impl<P: Clone, S> Layer<S> for SpeechLayer<P> {
    type Service = BySpeech<P, S>;

    fn layer(&self, grpc: S) -> Self::Service {
        BySpeech { plain: self.plain.clone(), grpc }
    }
}

/// Two services behind one port.
#[derive(Debug, Clone)]
pub(crate) struct BySpeech<P, S> {
    plain: P,
    grpc: S,
}

type Answer = Result<Response<Body>, Infallible>;

impl<P, S> Service<Request<Body>> for BySpeech<P, S>
where
    P: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Either<P::Future, Ready<Answer>>, S::Future>;

    // Both sides are always ready: nothing behind them queues.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let _ = self.plain.poll_ready(cx)?;
        self.grpc.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // First of all, so that no later step can believe a header that only the mesh may write.
        clean_inbound(request.headers_mut());
        match tune(&mut request) {
            Speech::Grpc => Either::Right(self.grpc.call(request)),
            Speech::Plain => Either::Left(Either::Left(self.plain.call(request))),
            Speech::Unsupported => Either::Left(Either::Right(ready(Ok(unsupported())))),
        }
    }
}

/// The gRPC specification asks for 415 here, not for a gRPC status.
fn unsupported() -> Response<Body> {
    const RULE: &str = "This port speaks gRPC over HTTP/2 and grpc-web over HTTP/1.1 and HTTP/2, \
                        with protobuf messages.\n";
    let mut response = Response::new(Body::new(RULE.to_owned()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
