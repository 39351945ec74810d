//! Enforces deadlines: the caller's, cut to what the contract allows, over the answer's head and, of a stream, its
//! whole body. tonic's own timeout covers the head only and answers CANCELLED. Counts from the call's
//! arrival, so that time in the admission queue is not given twice.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use http::HeaderMap;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::{Deadline, GRPC_TIMEOUT, Malformed, parse};
use crate::layer::{Around, Next, Request, Response, refuse, trailers};
use crate::opening::Call;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// What the caller allows, counted from `arrived`; None when it sets no limit.
///
/// # Errors
/// [`Malformed`] when the header is not as the protocol writes it.
pub fn of_caller(headers: &HeaderMap, arrived: Instant) -> Result<Option<Deadline>, Malformed> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    parse(value.as_bytes()).map(|span| Some(Deadline::from(arrived, span)))
}

/// The layer.
#[derive(Debug, Default)]
pub struct EnforceDeadline;

impl Around for EnforceDeadline {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let deadline = match due(request) {
            Ok(deadline) => deadline,
            Err(refusal) => return refuse(refusal),
        };
        if deadline.is_past() {
            return refuse(Refusal::new(CommonReason::Deadline));
        }
        request.extensions_mut().insert(deadline);
        let streams = Call::method_of(request).is_some_and(|method| method.streams_answers);
        match tokio::time::timeout_at(deadline.instant(), next.run(request)).await {
            // The one message of a unary answer is there: its body has nothing left to wait for.
            Ok(response) if !streams => response,
            Ok(response) => response.map(|body| Body::new(TimedBody::new(body, deadline))),
            Err(_) => refuse(Refusal::new(CommonReason::Deadline)),
        }
    }
}

/// The earlier of what the caller allows and what the contract allows.
fn due(request: &Request) -> Result<Deadline, Refusal> {
    let call = Call::of(request).ok_or_else(|| Refusal::new(CommonReason::Internal))?;
    let method = call.method.as_ref().ok_or_else(|| Refusal::new(CommonReason::MethodUnknown))?;
    let contract = Deadline::from(call.arrived, method.deadline);
    let caller = of_caller(request.headers(), call.arrived).map_err(|malformed| {
        let refusal = Refusal::new(CommonReason::FieldInvalid);
        refusal.field_explained(GRPC_TIMEOUT, "grpc_timeout.form", malformed.to_string())
    })?;
    Ok(caller.map_or(contract, |caller| caller.at_most(contract)))
}

/// A body that ends with DEADLINE_EXCEEDED when its time is over.
pub struct TimedBody {
    body: Option<Body>,
    deadline: Deadline,
    /// Made when the body first has to be waited for: most answers are ready at once.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    /// `body`, until `deadline`.
    #[must_use]
    pub fn new(body: Body, deadline: Deadline) -> Self {
        Self { body: Some(body), deadline, alarm: None }
    }

    fn cut(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = None;
        Poll::Ready(Some(Ok(trailers(Refusal::new(CommonReason::Deadline)))))
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            // A stream that is always ready never sees the alarm; its data is still late. Trailers are
            // let through: the work is done, and its outcome is worth more than our clock.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() && this.deadline.is_past() => this.cut(),
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => {
                let due = this.deadline.instant();
                let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
                match alarm.poll_unpin(cx) {
                    Poll::Ready(()) => this.cut(),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}
