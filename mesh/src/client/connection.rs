//! One connection to one endpoint: opened when first needed, opened again when it broke, mutual TLS,
//! HTTP/2. Fails fast while the endpoint is known to be down. Must not know methods or other endpoints.

use std::{
    convert::Infallible,
    io,
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

const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A cheap clone; clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Endpoint>);

struct Endpoint {
    authority: Authority,
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
        tls: Arc<RustlsConfig>,
        config: &ClientConfig,
    ) -> Result<Self, InvalidDnsNameError> {
        // An IPv6 address stands in brackets in a URL, and without them in a certificate.
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self(Arc::new(Endpoint {
            server_name: ServerName::try_from(host)?,
            authority,
            tls: TlsConnector::from(tls),
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            keepalive: Duration::from_secs(config.keepalive_interval_s),
            live: ArcSwapOption::empty(),
            opening: Mutex::default(),
        })))
    }
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
        Box::pin(async move { Ok(endpoint.send(request).await) })
    }
}

impl Endpoint {
    async fn send(&self, mut request: Request) -> Response {
        *request.uri_mut() = self.absolute(request.uri());
        for _ in 0..2 {
            let mut sender = match self.sender().await {
                Ok(sender) => sender,
                Err(error) => return self.unreachable(&error),
            };
            match sender.try_send_request(request).await {
                Ok(response) => return response.map(Body::new),
                // Never left this process, because the connection was closing: so it is not a second
                // try, and right for any method.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return self.unreachable(&error.into_error()),
                },
            }
        }
        self.unreachable(&ConnectError::Resting)
    }

    fn absolute(&self, uri: &Uri) -> Uri {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        // A client's URI always has a path; without one there is nothing to make absolute.
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Response {
        if error.is::<ConnectError>() {
            // Said once where the connection failed, not by every call that needed it.
            tracing::debug!(server.address = %self.authority, error, "a service could not be called");
        } else {
            tracing::warn!(server.address = %self.authority, error, "a call broke off");
        }
        refuse(Refusal::new(CommonReason::DependencyDown))
    }

    async fn sender(&self) -> Result<SendRequest<Body>, ConnectError> {
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        let mut failures = self.opening.lock().await;
        if let Some(sender) = self.open_sender() {
            return Ok(sender);
        }
        if failures.not_before.is_some_and(|not_before| Instant::now() < not_before) {
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
        let host = self.authority.host().trim_matches(['[', ']']);
        let port = self.authority.port_u16().unwrap_or(443);
        let tcp = TcpStream::connect((host, port)).await.map_err(ConnectError::Tcp)?;
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
