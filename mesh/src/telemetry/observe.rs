//! Sees a call to its very end: the status in headers, in trailers, an error of the body, a body or a
//! future that is dropped because the caller is gone. Knows nothing of what is done with that.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

const GRPC_STATUS: &str = "grpc-status";

/// Watches one call: is entered around every piece of its work, and told how it ended, exactly once.
pub trait Observer {
    /// Runs a piece of the call's work.
    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    /// The call ended with this code; `Cancelled` when nobody waited for the end.
    fn ended(self, code: Code);
}

/// The gRPC code of a service's error, so that one that never became a response is seen as well.
pub trait CallError {
    /// The code a caller would be given.
    fn code(&self) -> Code;
}

impl CallError for Infallible {
    fn code(&self) -> Code {
        match *self {}
    }
}

impl CallError for Status {
    fn code(&self) -> Code {
        Self::code(self)
    }
}

impl CallError for hyper::Error {
    /// A connection that broke.
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

impl CallError for tonic::codegen::StdError {
    fn code(&self) -> Code {
        self.downcast_ref::<Status>().map_or(Code::Unknown, Status::code)
    }
}

/// Holds the observer until the end; dropped before that, the call was cancelled.
#[derive(Debug)]
struct Watch<O: Observer>(Option<O>);

impl<O: Observer> Watch<O> {
    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(observer) => observer.enter(work),
            None => work(),
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(observer) = self.0.take() {
            observer.ended(code);
        }
    }
}

impl<O: Observer> Drop for Watch<O> {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

pin_project! {
    /// A call under way, watched.
    #[derive(Debug)]
    pub struct Observed<F, O: Observer> {
        #[pin]
        future: F,
        watch: Watch<O>,
    }
}

impl<F, O: Observer> Observed<F, O> {
    pub(super) fn new(future: F, observer: O) -> Self {
        Self { future, watch: Watch(Some(observer)) }
    }
}

impl<F, O, B, E> Future for Observed<F, O>
where
    F: Future<Output = Result<Response<B>, E>>,
    O: Observer,
    E: CallError,
{
    type Output = Result<Response<ObservedBody<B, O>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.watch.enter(|| this.future.poll(cx))) {
            Ok(response) => {
                let mut watch = Watch(this.watch.0.take());
                if let Some(code) = code_in_head(&response) {
                    watch.end(code);
                }
                Poll::Ready(Ok(response.map(|body| ObservedBody { body, watch })))
            }
            Err(error) => {
                this.watch.end(error.code());
                Poll::Ready(Err(error))
            }
        }
    }
}

/// A status in the head means that no messages follow (a trailers-only response).
fn code_in_head<B>(response: &Response<B>) -> Option<Code> {
    code_of(response.headers()).or_else(|| match response.status() {
        StatusCode::OK => None,
        status => Some(Code::from(http_code(status))),
    })
}

/// HTTP status to gRPC code, as the gRPC protocol's mapping table says.
fn http_code(status: StatusCode) -> i32 {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    code.into()
}

pub(crate) fn code_of(headers: &HeaderMap) -> Option<Code> {
    // Our own parser trims: some servers put a space after the colon of a grpc-web trailer.
    headers.get(GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes().trim_ascii()))
}

pin_project! {
    /// The body of a watched call.
    #[derive(Debug)]
    pub struct ObservedBody<B, O: Observer> {
        #[pin]
        body: B,
        watch: Watch<O>,
    }
}

impl<B, O> Body for ObservedBody<B, O>
where
    B: Body,
    B::Error: CallError,
    O: Observer,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.watch.enter(|| this.body.poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code_of) {
                    this.watch.end(code);
                }
            }
            Some(Err(error)) => this.watch.end(error.code()),
            None => this.watch.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
