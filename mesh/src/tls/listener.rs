//! Accepts connections, shakes hands, and yields only those that are who they must be. Handshakes run
//! beside each other, bounded in number and time; those that take longest give way, so that slow clients hold up nobody.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::identity::SpiffeId;

/// Longest a client may take to shake hands.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Handshakes at once. An honest one is over in milliseconds, so that of more than these the oldest is somebody's who says
/// nothing, and makes room.
const HANDSHAKES: usize = 1_024;
/// Connections that are through but not taken by the server yet.
const READY: usize = 64;
/// Pause after the system could not accept (out of file descriptors), which fails at once again otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a connection. In the extensions of every request that came over it.
#[derive(Debug, Clone)]
pub struct Peer {
    address: Option<SocketAddr>,
    workload: Option<SpiffeId>,
}

impl Peer {
    /// A peer at `address` whose certificate named `workload`.
    #[must_use]
    pub fn new(address: Option<SocketAddr>, workload: Option<SpiffeId>) -> Self {
        Self { address, workload }
    }

    /// Where the connection came from. Personal data of a browser's user: never log it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The workload that its verified certificate names; none at the edge.
    #[must_use]
    pub fn workload(&self) -> Option<&SpiffeId> {
        self.workload.as_ref()
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connection {
    async fn shake_hands(acceptor: &TlsAcceptor, stream: TcpStream, address: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let stream = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
        let workload = workload_of(&stream)?;
        Ok(Self { stream, peer: Peer::new(Some(address), workload) })
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the client negotiated HTTP/2; otherwise it speaks HTTP/1.1.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

fn workload_of(stream: &TlsStream<TcpStream>) -> io::Result<Option<SpiffeId>> {
    let Some(leaf) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
        return Ok(None);
    };
    SpiffeId::from_certificate(leaf).map(Some).map_err(io::Error::other)
}

/// The stream of [`listen`]. Dropping it closes the listener.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<io::Result<Connection>>);

impl futures::Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// Shakes hands on connections that somebody else has accepted, within the same time as [`listen`]. Their
/// number is bounded by whoever accepts: a turn that is held by somebody who says nothing would keep
/// others out.
#[derive(Clone)]
pub struct Handshakes(TlsAcceptor);

impl Handshakes {
    /// As `config` says.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(TlsAcceptor::from(config))
    }

    /// The connection after its handshake, on the runtime of the caller.
    ///
    /// # Errors
    /// A peer that is too slow, speaks no TLS or shows no valid certificate where one is asked for.
    pub async fn shake(&self, stream: std::net::TcpStream, address: SocketAddr) -> io::Result<Connection> {
        Connection::shake_hands(&self.0, TcpStream::from_std(stream)?, address).await
    }
}

impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshakes").finish_non_exhaustive()
    }
}

/// Accepts on `listener` until the stream is dropped. A failed handshake is logged without the
/// address and yields nothing.
#[must_use]
pub fn listen(listener: TcpListener, config: Arc<ServerConfig>) -> Incoming {
    let (ready, incoming) = mpsc::channel(READY);
    tokio::spawn(accept_all(listener, TlsAcceptor::from(config), ready));
    Incoming(incoming)
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let mut shaking = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                make_room(&mut shaking);
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                let admitted = async move { admit(&acceptor, stream, address, &ready).await };
                shaking.push_back(tokio::spawn(admitted).abort_handle());
            }
            Err(error) => {
                tracing::warn!(error.kind = %error.kind(), "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Of too many handshakes the oldest ends; those that are over are forgotten.
fn make_room(shaking: &mut VecDeque<AbortHandle>) {
    while shaking.front().is_some_and(AbortHandle::is_finished) {
        shaking.pop_front();
    }
    if shaking.len() >= HANDSHAKES {
        shaking.retain(|handshake| !handshake.is_finished());
    }
    if shaking.len() >= HANDSHAKES
        && let Some(oldest) = shaking.pop_front()
    {
        oldest.abort();
    }
}

async fn admit(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    ready: &mpsc::Sender<io::Result<Connection>>,
) {
    match Connection::shake_hands(acceptor, stream, address).await {
        // The receiver is gone when the server stops; the connection is closed with it.
        Ok(connection) => drop(ready.send(Ok(connection)).await),
        Err(error) => tracing::info!(error.kind = %error.kind(), "a TLS handshake failed"),
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
