//! How long a call may take: what the caller allows, at most what the contract allows. Covers the
//! whole answer, streams included; tonic's own timer ends at the headers and answers CANCELLED.
//! Must not know what takes the time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use caremesh_mesh::deadline::{Deadline, GRPC_TIMEOUT, parse};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use futures::future::Either;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::body::Body;
use tower::{Layer, Service};

use super::route;
use crate::refuse::{answer, refusal, trailers};

/// Sets the [`Deadline`] of each call and answers DEADLINE when it has passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For a method that is not known; it will be refused, but perhaps not at once.
    pub(crate) unknown: Duration,
}

impl<S> Layer<S> for Deadlines {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timed { unknown: self.unknown, inner }
    }
}

/// The service behind [`Deadlines`].
#[derive(Debug, Clone)]
pub(crate) struct Timed<S> {
    unknown: Duration,
    inner: S,
}

impl<S> Timed<S> {
    fn deadline_of(&self, request: &Request<Body>) -> Result<Deadline, Refusal> {
        let limit = route::of(request).map_or(self.unknown, |route| route.deadline);
        let Some(asked) = request.headers().get(GRPC_TIMEOUT) else {
            return Ok(Deadline::after(limit));
        };
        let asked = parse(asked.as_bytes()).map_err(|_malformed| {
            refusal(CommonReason::FieldInvalid).field(GRPC_TIMEOUT, "one to eight digits and a unit")
        })?;
        Ok(Deadline::after(asked.min(limit)))
    }
}

impl<S> Service<Request<Body>> for Timed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<std::future::Ready<Result<Response<Body>, Infallible>>, Answering<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.deadline_of(&request) {
            Ok(deadline) => {
                request.extensions_mut().insert(deadline);
                let call = self.inner.call(request);
                Either::Right(Answering { call, deadline, timer: sleep_until(deadline.instant()) })
            }
            Err(refusal) => Either::Left(std::future::ready(Ok(answer(refusal)))),
        }
    }
}

pin_project! {
    /// Waits for the head of an answer, until the deadline.
    pub(crate) struct Answering<F> {
        #[pin]
        call: F,
        #[pin]
        timer: Sleep,
        deadline: Deadline,
    }
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(Ok(response)) = this.call.poll(cx) {
            return Poll::Ready(Ok(limit_body(response, *this.deadline)));
        }
        ready!(this.timer.poll(cx));
        Poll::Ready(Ok(answer(refusal(CommonReason::Deadline))))
    }
}

fn limit_body(response: Response<Body>, deadline: Deadline) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    let timer = sleep_until(deadline.instant());
    response.map(|inner| Body::new(TimedBody { inner, timer, over: false }))
}

pin_project! {
    /// An answer that ends with DEADLINE when its time is over. Dropping the rest resets the stream to
    /// the upstream, which stops working for nobody.
    struct TimedBody {
        #[pin]
        inner: Body,
        #[pin]
        timer: Sleep,
        over: bool,
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let mut this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        // The inside first: an answer that is there is given, even at the last instant.
        if let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(this.timer.poll(cx));
        *this.over = true;
        this.inner.set(Body::empty());
        Poll::Ready(Some(Ok(Frame::trailers(trailers(refusal(CommonReason::Deadline))))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
