//! Opens one HTTP/2 connection to an upstream, over mutual TLS or, for an `http://` URL, in plain.
//! Must not know services or methods.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

/// How long TCP, TLS and the HTTP/2 handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pings find a peer that went away without a word; the server must allow one per this interval.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for a status with details in the response headers; HTTP/2 counts 32 bytes more a field.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Why there is no connection to an upstream.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// TCP or TLS failed.
    #[error("cannot connect")]
    Io(#[from] io::Error),
    /// The peer does not speak HTTP/2.
    #[error("the HTTP/2 handshake failed")]
    Handshake(#[from] hyper::Error),
    /// Nothing answered within [`CONNECT_TIMEOUT`].
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to the addresses behind one URL.
#[derive(Clone)]
pub(crate) struct Connector {
    host: String,
    port: u16,
    scheme: Scheme,
    authority: Authority,
    tls: Option<TlsConnector>,
}

/// The driver of a connection: it must be polled for anything to move.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send + 'static>>;

impl Connector {
    /// For a URL that the configuration has checked: `http` or `https`, with a host. `tls` must check
    /// that the peer is the expected workload.
    pub(crate) fn new(url: &Uri, tls: Arc<ClientConfig>) -> Option<Self> {
        let scheme = url.scheme()?.clone();
        let default_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        Some(Self {
            host: url.host()?.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(default_port),
            authority: url.authority()?.clone(),
            tls: (scheme == Scheme::HTTPS).then(|| TlsConnector::from(tls)),
            scheme,
        })
    }

    /// The addresses behind the host at this moment.
    ///
    /// # Errors
    /// When the name cannot be resolved.
    pub(crate) async fn look_up(&self) -> io::Result<BTreeSet<SocketAddr>> {
        Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect())
    }

    /// Connects to one of the addresses.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<(Held, Driver), ConnectError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.open(address)).await.map_err(|_| ConnectError::Timeout)?
    }

    /// Sent as SNI only: the peer is known by its SPIFFE id, not by its host name.
    fn server_name(&self) -> io::Result<ServerName<'static>> {
        ServerName::try_from(self.host.clone()).map_err(io::Error::other)
    }

    async fn open(&self, address: SocketAddr) -> Result<(Held, Driver), ConnectError> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.connect(self.server_name()?, tcp).await?),
            None => Box::new(tcp),
        };
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        let held = Held { sender, scheme: self.scheme.clone(), authority: self.authority.clone() };
        Ok((held, Box::pin(connection)))
    }
}

/// A held connection. Clones share it.
///
/// hyper's `SendRequest` is held directly: a `tonic::Channel` puts a buffer task between the two
/// connections, which costs a third of the throughput.
#[derive(Clone)]
pub(crate) struct Held {
    sender: http2::SendRequest<Body>,
    scheme: Scheme,
    authority: Authority,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Held {
    /// Whether requests can be sent still.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
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

    /// Sends a request whose URI came from [`Held::uri`]. A request that never left comes back with the
    /// error.
    pub(crate) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        self.sender.try_send_request(request)
    }
}

/// The same connection as the transport of a generated client, for reflection and health.
impl tower::Service<Request<Body>> for Held {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = futures::future::BoxFuture<'static, hyper::Result<Response<Incoming>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = self.uri(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Box::pin(self.sender.send_request(request))
    }
}
