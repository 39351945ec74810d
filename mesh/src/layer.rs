//! One shape for every layer of ours: an async function around the rest of the stack. It must not know
//! which layers there are; `server.rs` orders them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt as _};

use crate::refusal::Refusal;

/// A request as every layer sees it.
pub type Request = http::Request<Body>;
/// An answer as every layer sees it.
pub type Response = http::Response<Body>;

/// A layer: does something before and after the rest of the stack, or answers itself.
///
/// The request is lent, not given: moved through ten layers by value it would be copied twenty times.
pub trait Around: Send + Sync + 'static {
    /// Answers `request`, with or without `next`. A refusal is an answer; nothing here can fail.
    fn around<N: Next>(&self, request: &mut Request, next: N) -> impl Future<Output = Response> + Send;
}

/// The rest of the stack, for one request.
pub trait Next: Send {
    /// Runs it. It takes the request's parts and leaves an empty one.
    fn run(self, request: &mut Request) -> impl Future<Output = Response> + Send;
}

/// Makes a tower layer of an [`Around`].
#[derive(Debug)]
pub struct AroundLayer<A>(Arc<A>);

impl<A> AroundLayer<A> {
    /// The tower layer of `around`.
    pub fn new(around: A) -> Self {
        Self(Arc::new(around))
    }
}

impl<A> Clone for AroundLayer<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A, S> Layer<S> for AroundLayer<A> {
    type Service = Surrounded<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded(Arc::new((Arc::clone(&self.0), inner)))
    }
}

/// A service with an [`Around`] around it. One count for the layer and all further in: each layer clones
/// the rest of the stack for each call, and clones of clones of every layer's own count would add up.
#[derive(Debug)]
pub struct Surrounded<A, S>(Arc<(Arc<A>, S)>);

impl<A, S> Clone for Surrounded<A, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A, S> Service<Request> for Surrounded<A, S>
where
    A: Around,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    // Readiness is asked of the clone that is used, inside the call: a stack of ours is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let layer = Arc::clone(&self.0);
        Box::pin(async move {
            let (around, inner) = &*layer;
            Ok(around.around(&mut request, Rest(inner)).await)
        })
    }
}

struct Rest<'a, S>(&'a S);

impl<S> Next for Rest<'_, S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    async fn run(self, request: &mut Request) -> Response {
        match self.0.clone().oneshot(std::mem::take(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// A stack of [`Around`]s that is one future: each layer holds the one further in, instead of a box.
pub trait Handle: Send + Sync + 'static {
    /// Answers the request, and leaves an empty one.
    fn handle(&self, request: &mut Request) -> impl Future<Output = Response> + Send;
}

impl<A: Around, H: Handle> Handle for Surrounded<A, H> {
    fn handle(&self, request: &mut Request) -> impl Future<Output = Response> + Send {
        let (around, inner) = &*self.0;
        around.around(request, Within(inner))
    }
}

struct Within<'a, H>(&'a H);

impl<H: Handle> Next for Within<'_, H> {
    fn run(self, request: &mut Request) -> impl Future<Output = Response> + Send {
        self.0.handle(request)
    }
}

/// The innermost of such a stack: any service. In a box of its own: with its future inside, the stack's would be
/// larger than what an allocator hands out quickly.
#[derive(Debug)]
pub struct Innermost<S>(pub S);

impl<S> Handle for Innermost<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    async fn handle(&self, request: &mut Request) -> Response {
        let answering = Box::pin(self.0.clone().oneshot(std::mem::take(request)));
        match answering.await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Makes a service of such a stack: from here inwards a call is one future in one box.
#[derive(Clone, Copy, Debug)]
pub struct OneFuture;

impl<H> Layer<H> for OneFuture {
    type Service = Boxed<H>;

    fn layer(&self, inner: H) -> Boxed<H> {
        Boxed(Arc::new(inner))
    }
}

/// The service of [`OneFuture`].
#[derive(Debug)]
pub struct Boxed<H>(Arc<H>);

impl<H> Clone for Boxed<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: Handle> Service<Request> for Boxed<H> {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    // A stack of ours is always ready: what must wait, waits inside the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let stack = Arc::clone(&self.0);
        Box::pin(async move { Ok(stack.handle(&mut request).await) })
    }
}

/// The answer that carries a refusal: gRPC's trailers-only response.
#[must_use]
pub fn refuse(refusal: Refusal) -> Response {
    Status::from(refusal).into_http()
}

/// The refusal as trailers, for a response whose headers have gone out already.
#[must_use]
pub fn trailers(refusal: Refusal) -> Frame<bytes::Bytes> {
    let mut trailers = http::HeaderMap::with_capacity(3);
    // Fails only for a message that is no header value; the contract's sentences are plain ASCII, and
    // trailers without a status read as UNKNOWN at the client, never as success.
    let written = Status::from(refusal).add_header(&mut trailers);
    debug_assert!(written.is_ok(), "a reason's sentence is a header value");
    Frame::trailers(trailers)
}

/// A body that keeps something until it has been sent or given up: a place, a count.
#[derive(Debug)]
pub struct Holding<B, T> {
    body: B,
    _held: T,
}

impl<B, T> Holding<B, T> {
    /// `body`, keeping `held`.
    pub fn new(body: B, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<B: http_body::Body + Unpin, T: Unpin> http_body::Body for Holding<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
