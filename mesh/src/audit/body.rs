//! A stream under audit: what a message touched is committed before the message leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::AuditSink;
use super::layer::commit;
use crate::context::CallContext;
use crate::layer::trailers;
use crate::refusal::Refusal;

pub(super) struct AuditedBody {
    body: Body,
    context: CallContext,
    sink: Arc<dyn AuditSink>,
    state: State,
}

enum State {
    Passing,
    /// The frame waits until the facts behind it are safe.
    Committing(BoxFuture<'static, Result<(), Refusal>>, Option<Frame<Bytes>>),
    Ended,
}

impl AuditedBody {
    pub(super) fn new(body: Body, context: CallContext, sink: Arc<dyn AuditSink>) -> Self {
        Self { body, context, sink, state: State::Passing }
    }

    fn hold(&mut self, frame: Frame<Bytes>) {
        let (context, sink) = (self.context.clone(), Arc::clone(&self.sink));
        let committing = async move { commit(&context, &sink).await }.boxed();
        self.state = State::Committing(committing, Some(frame));
    }
}

impl http_body::Body for AuditedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Committing(committing, frame) => {
                    let committed = ready!(committing.poll_unpin(cx));
                    let frame = frame.take();
                    self.state = if committed.is_ok() { State::Passing } else { State::Ended };
                    return Poll::Ready(match committed {
                        Ok(()) => frame.map(Ok),
                        Err(refusal) => Some(Ok(trailers(refusal))),
                    });
                }
                State::Passing => {
                    let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
                    match polled {
                        Some(Ok(frame)) if frame.is_data() => self.hold(frame),
                        other => return Poll::Ready(other),
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
            || (matches!(self.state, State::Passing) && self.body.is_end_stream())
    }
}
