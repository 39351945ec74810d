//! Turns a panic of anything further in into INTERNAL, so that one call fails and not its connection.
//! The panic's text may hold data of the call: it is never sent, and not logged from here.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use crate::layer::{Around, Next, Request, Response, refuse, trailers};
use crate::opening::Call;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// Logs every panic of the process by its place, without its text: Rust's own hook prints the text to
/// standard error, and a failed assertion's text holds the very values that differed. For `main`, after
/// telemetry has started.
pub fn log_panics_without_text() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(code.location = place, thread.name = thread, "a task panicked");
    }));
}

/// The layer.
#[derive(Debug, Default)]
pub struct CatchPanic;

impl Around for CatchPanic {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let call = Call::of(request).cloned();
        // Nothing of the request is looked at after a panic, so no broken invariant can be seen.
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response.map(|body| Body::new(Caught { body: Some(body), call })),
            Err(_) => {
                count(call.as_ref());
                refuse(Refusal::new(CommonReason::Internal))
            }
        }
    }
}

fn count(call: Option<&Call>) {
    let method = call.and_then(|call| call.method.as_ref()).map_or("", |method| &method.path);
    let call_id = call.map_or("", |call| call.id.as_str());
    metrics::counter!("caremesh_server_panics_total", "method" => method.to_owned()).increment(1);
    tracing::error!(call.id = call_id, rpc.method = method, "a handler panicked");
}

/// A body whose panics end the stream with INTERNAL instead of killing the connection's task.
struct Caught {
    body: Option<Body>,
    call: Option<Call>,
}

impl http_body::Body for Caught {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        polled.unwrap_or_else(|_| {
            self.body = None;
            count(self.call.as_ref());
            Poll::Ready(Some(Ok(trailers(Refusal::new(CommonReason::Internal)))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}
