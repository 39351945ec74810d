//! The answer's body on its way back. It always ends in a status: when the upstream breaks off, the
//! gateway says so in trailers. Must not know messages.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use caremesh_mesh::layer::trailers;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http_body::{Frame, SizeHint};

use super::request_body::FaultCell;
use crate::refuse::of_fault;
use crate::upstream::held::Answer;
use crate::upstream::replica::Call;

/// Passes the upstream's frames; closes the answer with trailers of its own when they are missing.
pub(crate) struct AnswerBody {
    inner: Answer,
    /// The fault that broke off the request stream, if that is why the upstream's answer broke off.
    fault: Option<FaultCell>,
    ended: bool,
    /// The replica is busy with it until the end.
    call: Call,
}

impl AnswerBody {
    /// `status_sent`: the headers carried a status already, so that nothing must follow.
    pub(crate) fn new(inner: Answer, fault: Option<FaultCell>, status_sent: bool, call: Call) -> Self {
        Self { inner, fault, ended: status_sent, call }
    }

    fn broken_off(&self) -> Frame<Bytes> {
        let fault = self.fault.as_ref().and_then(|cell| cell.get());
        trailers(match fault {
            Some(fault) => of_fault(*fault),
            None => Refusal::new(CommonReason::DependencyDown),
        })
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.ended = frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) | None => {
                self.ended = true;
                self.call.failed();
                Poll::Ready(Some(Ok(self.broken_off())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
