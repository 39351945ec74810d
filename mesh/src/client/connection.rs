//! One connection to one replica, or to whatever is behind a name: opened when first needed, opened again when
//! it broke, mutual TLS, HTTP/2. Fails fast while the endpoint is known to be down. Must not know methods or other endpoints.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{
    ClientConfig as RustlsConfig,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::{net::TcpStream, sync::Mutex, time::Instant};
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tower::Service;

use super::ClientConfig;
use crate::{
    layer::{Request, Response, refuse},
    reason::CommonReason,
    refusal::Refusal,
};

/// A ping inside a mesh is answered within milliseconds; three seconds are a replica that is gone.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A cheap clone; clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Endpoint>);

/// A request that never left this process, and may go elsewhere whatever its method.
pub(super) struct Unsent(pub(super) Box<Request>);

struct Endpoint {
    authority: Authority,
    /// None: the name is resolved anew for each connection.
    address: Option<SocketAddr>,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    connect_timeout: Duration,
    keepalive: Duration,
    live: ArcSwapOption<SendRequest<Body>>,
    /// Held while connecting: of many who need the connection, one opens it.
    opening: Mutex<Failures>,
}

/// How often in a row the endpoint could not be reached, and until when it is not tried again.
#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    not_before: Option<Instant>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("the endpoint was unreachable a moment ago")]
    Resting,
    #[error("the endpoint cannot be reached")]
    Tcp(#[source] io::Error),
    #[error("the endpoint is not the service that was meant, or does not accept us")]
    Tls(#[source] io::Error),
    #[error("the endpoint does not speak HTTP/2")]
    Http2(#[source] hyper::Error),
    #[error("the connection did not open in time")]
    Late,
}

impl Connection {
    pub(super) fn new(
        authority: Authority,
        address: Option<SocketAddr>,
        tls: Arc<RustlsConfig>,
        config: &ClientConfig,
    ) -> Result<Self, InvalidDnsNameError> {
        // An IPv6 address stands in brackets in a URL, and without them in a certificate.
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self(Arc::new(Endpoint {
            server_name: ServerName::try_from(host)?,
            authority,
            address,
            tls: TlsConnector::from(tls),
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            keepalive: Duration::from_secs(config.keepalive_interval_s),
            live: ArcSwapOption::empty(),
            opening: Mutex::default(),
        })))
    }

    /// Sends the request, or gives it back when there is no connection.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Unsent> {
        self.0.send(request).await
    }

    /// Opens the connection, if there is none and the endpoint was not unreachable a moment ago.
    pub(super) async fn connect(&self) {
        // Why it failed is in the log already.
        drop(self.0.sender().await);
    }

    /// Whether a request could leave at once.
    pub(super) fn is_live(&self) -> bool {
        self.0.open_sender().is_some()
    }

    /// Whether the endpoint could not be reached a moment ago.
    pub(super) fn is_resting(&self) -> bool {
        self.0.opening.try_lock().is_ok_and(|failures| failures.rest())
    }
}

/// The answer to a call that no replica could be given.
pub(super) fn unreachable() -> Response {
    refuse(Refusal::new(CommonReason::DependencyDown))
}

impl Service<Request> for Connection {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move { Ok(endpoint.send(request).await.unwrap_or_else(|_| unreachable())) })
    }
}

impl Endpoint {
    async fn send(&self, mut request: Request) -> Result<Response, Unsent> {
        *request.uri_mut() = self.absolute(request.uri());
        for _ in 0..2 {
            let Ok(mut sender) = self.sender().await else { break };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response.map(Body::new)),
                // Never left this process, because the connection was closing: so it is not a second
                // try, and right for any method.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Ok(self.broken_off(&error.into_error())),
                },
            }
        }
        Err(Unsent(Box::new(request)))
    }

    fn absolute(&self, uri: &Uri) -> Uri {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        // A client's URI always has a path; without one there is nothing to make absolute.
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn broken_off(&self, error: &(dyn std::error::Error + 'static)) -> Response {
        tracing::warn!(server.address = %self.authority, error, "a call broke off");
        unreachable()
    }

    async fn sender(&self) -> Result<SendRequest<Body>, ConnectError> {
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        let mut failures = self.opening.lock().await;
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        if failures.rest() {
            return Err(ConnectError::Resting);
        }
        let opened = tokio::time::timeout(self.connect_timeout, self.open()).await;
        match opened.unwrap_or(Err(ConnectError::Late)) {
            Ok(sender) => {
                *failures = Failures::default();
                self.live.store(Some(Arc::new(sender.clone())));
                Ok(sender)
            }
            Err(error) => {
                failures.another();
                let cause = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(server.address = %self.authority, error = cause, "a service cannot be reached");
                Err(error)
            }
        }
    }

    fn open_sender(&self) -> Option<SendRequest<Body>> {
        let live = self.live.load();
        live.as_deref().filter(|sender| !sender.is_closed()).cloned()
    }

    async fn open(&self) -> Result<SendRequest<Body>, ConnectError> {
        let tcp = match self.address {
            Some(address) => TcpStream::connect(address).await,
            None => {
                let host = self.authority.host().trim_matches(['[', ']']);
                TcpStream::connect((host, self.authority.port_u16().unwrap_or(443))).await
            }
        };
        let tcp = tcp.map_err(ConnectError::Tcp)?;
        tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
        let tls = self.tls.connect(self.server_name.clone(), tcp).await.map_err(ConnectError::Tls)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keepalive)
            .keep_alive_timeout(KEEPALIVE_ANSWER)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(ConnectError::Http2)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection to a service broke");
            }
        });
        Ok(sender)
    }
}

impl Failures {
    fn rest(&self) -> bool {
        self.not_before.is_some_and(|not_before| Instant::now() < not_before)
    }

    fn another(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(8)).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("authority", &self.authority).finish_non_exhaustive()
    }
}
