//! Opens one HTTP/2 connection to an upstream, over mutual TLS or, for an `http://` URL, in plain.
//! Must not know services or methods.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::{Ping, PingPong};
use http::Uri;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::held::Held;

/// How long TCP, TLS and the HTTP/2 handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pings find a peer that went away without a word; the server must allow one per this interval.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for a status with details in the response headers; HTTP/2 counts 32 bytes more a field.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// What an upstream may send before we have passed it on: of one answer, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 5 << 20;

/// Why there is no connection to an upstream.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// TCP or TLS failed.
    #[error("cannot connect")]
    Io(#[from] io::Error),
    /// The peer does not speak HTTP/2.
    #[error("the HTTP/2 handshake failed")]
    Handshake(#[from] h2::Error),
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
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

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
        timeout(CONNECT_TIMEOUT, self.open(address)).await.map_err(|_| ConnectError::Timeout)?
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
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .handshake::<_, Bytes>(stream)
            .await?;
        let pings = connection.ping_pong();
        let driver = async move {
            tokio::select! {
                // Calls see by themselves why it ended.
                _ = connection => {}
                () = silence(pings) => tracing::info!("An upstream did not answer a ping."),
            }
        };
        Ok((Held::new(sender, self.scheme.clone(), self.authority.clone()), Box::pin(driver)))
    }
}

/// Until the peer leaves a ping unanswered.
async fn silence(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(PING_INTERVAL).await;
        match timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection has ended, and says so itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
