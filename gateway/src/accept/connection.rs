//! One connection: its protocol, its limits, its end.
//! Must not know gRPC.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use caremesh_mesh::tls::Connection;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::spread;
use crate::edge::Edge;
use crate::steps::address::CallerAddress;

/// hyper's default is unlimited once a builder passes nothing (RUSTSEC-2024-0003); said explicitly.
const MAX_LOCAL_RESETS: usize = 1_024;
/// A person who types into a search box cancels a call with each letter.
const MAX_PENDING_RESETS: usize = 100;
/// Room for a token of 8 KiB and a caller's metadata.
const MAX_HEADER_BYTES: u32 = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// On HTTP/1.1 headers are read into the same buffer as bodies. hyper looks before it reads, so that up to
/// twice as much gets in; its own limit is 400 kB.
const MAX_BUFFER_BYTES: usize = 32 * 1024;
/// How long calls may go on after a connection has reached its age.
const AGE_GRACE: Duration = Duration::from_secs(3_600);

/// What one connection is held to.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionRules {
    pub(crate) max_streams: u32,
    pub(crate) header_timeout: Duration,
    pub(crate) max_age: Duration,
    /// Pings find browsers that were put to sleep, and keep balancers from closing quiet streams.
    pub(crate) ping_interval: Duration,
}

impl ConnectionRules {
    /// The same, with an age of its own.
    pub(crate) fn for_connection(&self, nth: u32) -> Self {
        Self { max_age: spread(self.max_age, nth), ..self.clone() }
    }

    /// ALPN has settled the protocol; hyper must not guess it from the first bytes.
    fn builder(&self, http2: bool) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder = if http2 { builder.http2_only() } else { builder.http1_only() };
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_interval / 3);
        builder
    }
}

/// Serves the connection to its end: the peer's, its age's, or that of `stop`.
pub(crate) async fn serve(
    connection: Connection,
    edge: impl Edge,
    rules: ConnectionRules,
    stop: CancellationToken,
) {
    let peer = connection.peer().clone();
    let address = peer.address().map(|it| CallerAddress(it.ip()));
    let spoken = Arc::new(AtomicBool::new(false));
    let heard = spoken.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        address.map(|address| request.extensions_mut().insert(address));
        call(edge.clone(), request)
    });
    let builder = rules.builder(connection.is_http2());
    let mut serving = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let silence = async {
        sleep(rules.header_timeout).await;
        if spoken.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        // Errors are the peer's: it went away or broke the protocol, and was told so by hyper.
        _ = serving.as_mut() => return,
        // HTTP/2 has no header timeout of its own: a peer that opens and says nothing goes here.
        () = silence => return,
        () = sleep(rules.max_age) => {}
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(AGE_GRACE, serving).await;
}

async fn call(mut edge: impl Edge, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    std::future::poll_fn(|cx| edge.poll_ready(cx)).await?;
    edge.call(request).await
}
