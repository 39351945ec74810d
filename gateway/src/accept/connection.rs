//! One connection: its protocol, its limits, its end.
//! Must not know gRPC.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caremesh_mesh::tls::Connection;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
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

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER_BYTES);
        builder
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
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
    // A call begins with the edge and goes on without it. One edge for all calls, because a clone for each
    // would copy every outer step's settings.
    let edge = Mutex::new(edge);
    let service = service_fn(move |request: Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        address.map(|address| request.extensions_mut().insert(address));
        // In a box: hyper moves it from hand to hand before it is polled.
        Box::pin(edge.lock().unwrap_or_else(PoisonError::into_inner).call(request))
    });
    // ALPN has settled the protocol; hyper must not guess it from the first bytes.
    let http2 = connection.is_http2();
    let io = TokioIo::new(connection);
    if http2 {
        run(rules.http2().serve_connection(io, service), &rules, &spoken, stop).await;
    } else {
        run(rules.http1().serve_connection(io, service), &rules, &spoken, stop).await;
    }
}

async fn run<C: GracefulConnection>(
    serving: C,
    rules: &ConnectionRules,
    spoken: &AtomicBool,
    stop: CancellationToken,
) {
    let mut serving = pin!(serving);
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
