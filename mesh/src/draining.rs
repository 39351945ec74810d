//! Tells open streams that the server is stopping. A stream that waits for news never ends by itself, and
//! would hold every drain to its hard limit; its client resumes elsewhere instead. Unary calls are left
//! to finish. It must not know what a stream carries.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use crate::layer::{Around, Next, Request, Response, trailers};
use crate::lifecycle::Lifecycle;
use crate::opening::Call;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// The layer.
#[derive(Debug)]
pub struct EndStreams {
    life: Lifecycle,
    grace: Duration,
}

impl EndStreams {
    /// Ends streams `grace` after `life` begins to end: those with an end of their own may reach it.
    #[must_use]
    pub fn new(life: Lifecycle, grace: Duration) -> Self {
        Self { life, grace }
    }
}

impl Around for EndStreams {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let streams = Call::method_of(request).is_some_and(|method| method.streams_answers);
        let response = next.run(request).await;
        if !streams {
            return response;
        }
        let (ending, grace) = (self.life.ending(), self.grace);
        let told = async move {
            ending.await;
            tokio::time::sleep(grace).await;
        };
        until_told(response, told)
    }
}

/// The same answer, ended with DRAINING once `told` is done; what is ready by then still goes out.
#[must_use]
pub fn until_told(response: Response, told: impl Future<Output = ()> + Send + 'static) -> Response {
    response.map(|body| Body::new(Draining { body: Some(body), told: told.boxed() }))
}

struct Draining {
    body: Option<Body>,
    told: BoxFuture<'static, ()>,
}

impl http_body::Body for Draining {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        // What is ready goes out first: the client should not have to ask for it again.
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        match self.told.poll_unpin(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.body = None;
                Poll::Ready(Some(Ok(trailers(Refusal::new(CommonReason::Draining)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}
