//! A held connection to an upstream and what goes over it: one request head, its body, the answer as it comes.
//! Must not know methods, nor why a call goes here.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;

/// A held connection. Clones share it.
///
/// h2's sender is held directly. A `tonic::Channel` puts a task between the two connections, which costs a
/// third of the throughput; hyper's sender puts a queue there and two tasks for each call.
#[derive(Clone)]
pub(crate) struct Held {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    authority: Authority,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A request's body.
pub(crate) enum Sending {
    /// All of it is here; it goes out with the head.
    Whole(Bytes),
    /// It goes on as it comes.
    Stream(Body),
}

impl Held {
    pub(super) fn new(sender: SendRequest<Bytes>, scheme: Scheme, authority: Authority) -> Self {
        Self { sender, scheme, authority }
    }

    /// Whether requests can be sent still.
    pub(crate) fn is_open(&self) -> bool {
        self.ready().is_some()
    }

    /// The same for one request; `None` when the peer takes none any more. What is sent at once is not lost.
    pub(crate) fn ready(&self) -> Option<Self> {
        let mut ready = self.clone();
        // A fresh clone waits for nothing; it only learns here whether the connection is going away.
        match ready.sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => None,
            _ => Some(ready),
        }
    }

    /// The absolute URI of a path on this upstream; HTTP/2 takes scheme and authority from it.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        // Three valid parts make a valid URI; the root is only there for the compiler.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// Sends a request whose URI came from [`Held::uri`], and gives the head of its answer.
    ///
    /// # Errors
    /// The connection or the stream broke. Whether the peer has seen the request is unknown.
    pub(crate) async fn send(
        mut self,
        request: Request<()>,
        body: Sending,
    ) -> Result<Response<Answer>, h2::Error> {
        let (answer, mut stream) = self.sender.send_request(request, false)?;
        // Whoever holds a sender keeps a connection open that takes no more calls.
        drop(self);
        let pump = match body {
            Sending::Whole(bytes) => {
                stream.send_data(bytes, true)?;
                None
            }
            Sending::Stream(body) => Some(AbortOnDropHandle::new(tokio::spawn(pump(body, stream)))),
        };
        let answer = answer.await?;
        Ok(answer.map(|received| Answer { received, data_ended: false, _pump: pump }))
    }
}

/// Sends a body as it comes and as the peer makes room. A body that breaks off resets the stream.
async fn pump(mut body: Body, mut stream: SendStream<Bytes>) {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            // The peer wants no more of it.
            _ = std::future::poll_fn(|cx| stream.poll_reset(cx)) => return,
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if send_piece(&mut stream, data).await.is_none() {
                    return;
                }
            }
            Some(Err(_)) => return stream.send_reset(Reason::CANCEL),
            // Refused only when the stream has ended already.
            None => return drop(stream.send_data(Bytes::new(), true)),
        }
    }
}

/// `None`: the stream has ended.
async fn send_piece(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        stream.send_data(data.split_to(room.min(data.len())), false).ok()?;
    }
    Some(())
}

/// The body of an answer. Dropped before its end, it resets the stream and ends the request's body.
pub(crate) struct Answer {
    received: RecvStream,
    data_ended: bool,
    _pump: Option<AbortOnDropHandle<()>>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.received.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Whoever reads has it now: the peer may send as much again.
                    let _ = self.received.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.received.poll_trailers(cx));
        Poll::Ready(trailers.transpose().map(|it| it.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_end_stream()
    }
}

/// The same connection as the transport of a generated client, for reflection and health.
impl tower::Service<Request<Body>> for Held {
    type Response = Response<Answer>;
    type Error = h2::Error;
    type Future = BoxFuture<'static, Result<Response<Answer>, h2::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().cloned();
        parts.uri = self.uri(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Box::pin(self.clone().send(Request::from_parts(parts, ()), Sending::Stream(body)))
    }
}
