//! Waits until a call is whole before it asks for a place: who sends a request slowly, or never ends it, keeps no place
//! from those who have something to ask. Must not know messages, only frames of a body.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;

use crate::config::AdmissionConfig;
use crate::deadline::{Deadline, of_caller};
use crate::layer::{Around, Next, Request, Response, refuse};
use crate::opening::Call;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// The layer.
#[derive(Debug)]
pub struct Arrival {
    room: Arc<Room>,
    limit: Duration,
    retry_after: Duration,
}

/// Since when a request is whole that was waited for: how long its sender took says nothing of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeSince(pub(crate) Instant);

/// Bytes of all requests that wait for their last one.
#[derive(Debug)]
struct Room {
    used: AtomicUsize,
    most: usize,
}

impl Arrival {
    /// Waits within the limits of `config`.
    #[must_use]
    pub fn new(config: &AdmissionConfig) -> Self {
        Self {
            room: Arc::new(Room { used: AtomicUsize::new(0), most: config.max_arriving_bytes }),
            limit: Duration::from_millis(config.max_arrival_ms),
            retry_after: Duration::from_millis(config.retry_after_ms),
        }
    }

    /// Until when the request must be whole. None: it is not waited for, because it is a stream of requests, a question
    /// about health, or nothing that we know.
    fn due(&self, request: &Request) -> Option<Deadline> {
        let call = Call::of(request)?;
        let method = call.method.as_ref()?;
        if method.streams_requests || method.is_infrastructure() {
            return None;
        }
        let due = Deadline::from(call.arrived, method.deadline.min(self.limit));
        // A malformed timeout is the deadline layer's to refuse; here it only sets no limit.
        let own = of_caller(request.headers(), call.arrived).unwrap_or_default();
        Some(own.map_or(due, |own| own.at_most(due)))
    }

    /// The rest of a request of which some is there.
    async fn rest(&self, arrived: &mut Arrived, due: Deadline) -> Result<(), Refusal> {
        let seat = arrived.seat.insert(Seat { room: Arc::clone(&self.room), bytes: 0 });
        seat.widen(arrived.frames.iter().map(bytes_of).sum()).map_err(|()| self.full())?;
        let reading = async {
            while !arrived.is_whole() {
                let Some(frame) = arrived.body.frame().await else { break };
                let seat = arrived.seat.as_mut();
                let seated = seat.map_or(Ok(()), |seat| seat.widen(bytes_of(&frame)));
                seated.map_err(|()| self.full())?;
                arrived.frames.push_back(frame);
            }
            Ok(())
        };
        let in_time = timeout_at(due.instant(), reading).await;
        in_time.unwrap_or_else(|_elapsed| Err(Refusal::new(CommonReason::Deadline)))
    }

    fn full(&self) -> Refusal {
        Refusal::new(CommonReason::Overloaded).retry_after(self.retry_after)
    }
}

impl Around for Arrival {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let Some(due) = self.due(request) else { return next.run(request).await };
        let body = std::mem::take(request.body_mut());
        let mut arrived = Arrived { frames: VecDeque::new(), body, seat: None };
        // Nearly always the one message came with the headers.
        if let Some(Some(frame)) = arrived.body.frame().now_or_never() {
            arrived.frames.push_back(frame);
        }
        if !arrived.is_whole() {
            if let Err(refusal) = self.rest(&mut arrived, due).await {
                metrics::counter!("caremesh_server_not_admitted_total", "reason" => refusal.reason())
                    .increment(1);
                return refuse(refusal);
            }
            request.extensions_mut().insert(WholeSince(Instant::now()));
        }
        *request.body_mut() = Body::new(arrived);
        next.run(request).await
    }
}

/// What has come of a request, and what may still come.
struct Arrived {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    body: Body,
    seat: Option<Seat>,
}

impl Arrived {
    /// Nothing follows: the sender has ended it, or it broke a rule that the handler answers for.
    fn is_whole(&self) -> bool {
        self.body.is_end_stream() || self.frames.back().is_some_and(Result::is_err)
    }
}

impl http_body::Body for Arrived {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn bytes_of(frame: &Result<Frame<Bytes>, Status>) -> usize {
    frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

/// What one request holds of the room; given back with it.
#[derive(Debug)]
struct Seat {
    room: Arc<Room>,
    bytes: usize,
}

impl Seat {
    fn widen(&mut self, bytes: usize) -> Result<(), ()> {
        self.bytes += bytes;
        let used = self.room.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used > self.room.most { Err(()) } else { Ok(()) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
