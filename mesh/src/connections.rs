//! Serves HTTP/2 connections within explicit limits, renews them by age, and ends them: softly with
//! GOAWAY, hard when time is up. Own loop instead of tonic's, whose builder turns hyper's limits off and
//! knows no jitter. It must not know the layers; it is given one service.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use crate::config::Http2Config;
use crate::frame_limit::LimitedFrames;
use crate::layer::{Holding, Request};
use crate::lifecycle::Lifecycle;
use crate::tls::Peer;

/// How long a connection without calls is kept once it has been told to end. A client that vanished, or
/// never spoke, would otherwise hold the drain to its limit (hyperium/hyper #4170).
const LINGER: Duration = Duration::from_secs(1);

/// Serves each connection of `incoming` with `service` until `life` ends; then those that are open until
/// they are done or `life` is over.
pub(crate) async fn serve<I, C, S, B>(incoming: I, service: S, config: Http2Config, life: Lifecycle)
where
    I: Stream<Item = io::Result<(C, Peer)>>,
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut incoming = pin!(incoming);
    let builder = builder(&config);
    loop {
        let accepted = tokio::select! {
            () = life.ending() => return,
            accepted = incoming.next() => accepted,
        };
        match accepted {
            Some(Ok((io, peer))) => {
                let connection = Connection { io, peer, service: service.clone(), calls: Arc::new(()) };
                let ending = life.ending();
                life.spawn(connection.run(builder.clone(), config.clone(), ending));
            }
            Some(Err(error)) => {
                tracing::warn!(error.kind = %error.kind(), "a connection could not be accepted");
            }
            None => return,
        }
    }
}

/// Every limit that hyper has, said: see `Http2Config` for why each.
fn builder(config: &Http2Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_concurrent_streams)
        .max_pending_accept_reset_streams(config.max_pending_accept_reset_streams)
        .max_local_error_reset_streams(config.max_local_error_reset_streams)
        .max_header_list_size(config.max_header_list_bytes)
        .keep_alive_interval(Duration::from_secs(config.keepalive_interval_s))
        .keep_alive_timeout(Duration::from_secs(config.keepalive_timeout_s));
    builder
}

struct Connection<C, S> {
    io: C,
    peer: Peer,
    service: S,
    /// Cloned into every call under way: one reference means none.
    calls: Arc<()>,
}

impl<C, S, B> Connection<C, S>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn run(
        self,
        builder: http2::Builder<TokioExecutor>,
        config: Http2Config,
        ending: impl Future<Output = ()>,
    ) {
        let Self { io, peer, service, calls } = self;
        let limit = config.max_message_bytes;
        let counted = Arc::clone(&calls);
        let answer = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let call = Arc::clone(&counted);
            let request = received(request, &peer, limit);
            let service = service.clone();
            async move {
                let response = service.oneshot(request).await?;
                Ok::<_, Infallible>(response.map(|body| Holding::new(body, call)))
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), answer));
        let grace = tokio::select! {
            // However it ended, it is over; clients go away in many ways and none is news.
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(jittered(config.max_age_s)) => Duration::from_secs(config.max_age_grace_s),
            // The drain has its own limit, and drops this task.
            () = ending => Duration::MAX,
        };
        connection.as_mut().graceful_shutdown();
        let mut left = grace;
        while !left.is_zero() {
            let step = left.min(LINGER);
            if tokio::time::timeout(step, connection.as_mut()).await.is_ok() || is_idle(&calls) {
                return;
            }
            left -= step;
        }
    }
}

/// Held by this task and by the connection's service; every further reference is a call.
fn is_idle(calls: &Arc<()>) -> bool {
    Arc::strong_count(calls) <= 2
}

fn received(request: http::Request<Incoming>, peer: &Peer, limit: usize) -> Request {
    let mut request = request.map(|body| Body::new(LimitedFrames::new(body, limit)));
    request.extensions_mut().insert(peer.clone());
    request
}

/// The age, a tenth more or less by chance.
fn jittered(seconds: u64) -> Duration {
    let mut chance = [0_u8; 2];
    // Without randomness the age is merely exact.
    let drawn = aws_lc_rs::rand::fill(&mut chance).map_or(0x8000, |()| u16::from_be_bytes(chance));
    let age = Duration::from_secs(seconds);
    age - age / 10 + (age / 5) * u32::from(drawn) / u32::from(u16::MAX)
}
