//! The mesh's TLS listener in the form that axum takes.
//! Must not know HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use caremesh_mesh::tls::{Connection, Incoming, listen};
use futures::StreamExt;
use rustls::ServerConfig;
use tokio::net::TcpListener;

/// Accepts TCP, answers with TLS. Dropping it closes the port.
pub struct TlsListener {
    address: SocketAddr,
    incoming: Incoming,
}

impl TlsListener {
    /// Starts accepting on a bound socket.
    ///
    /// # Errors
    /// When the socket has no local address.
    pub fn start(socket: TcpListener, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self { address: socket.local_addr()?, incoming: listen(socket, tls) })
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        loop {
            match self.incoming.next().await {
                Some(Ok(connection)) => return (connection, ()),
                Some(Err(error)) => {
                    tracing::debug!(error.kind = %error.kind(), "a connection to the issuer was lost");
                }
                // Nothing accepts any more: the runtime is shutting down.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsListener {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
