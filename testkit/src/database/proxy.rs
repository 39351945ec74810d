//! A proxy before PostgreSQL that counts round trips as they pass on the wire.
//! Must not know statements: it reads message types and lengths only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Counts ReadyForQuery messages: the server sends one at the end of every round trip and never otherwise.
#[derive(Debug)]
pub struct CountingProxy {
    url: String,
    round_trips: Arc<AtomicU64>,
    accept: tokio::task::JoinHandle<()>,
}

impl CountingProxy {
    /// Listens on a loopback port and forwards to the server of `database_url`
    /// (`postgres://user@host:port/database`).
    ///
    /// # Errors
    /// When the address has no port or no port can be bound.
    pub async fn before(database_url: &str) -> anyhow::Result<Self> {
        let (head, tail) = database_url.split_once('@').context("user@ in the address")?;
        let (server, database) = tail.split_once('/').context("/database in the address")?;
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let here: SocketAddr = listener.local_addr()?;
        let round_trips = Arc::new(AtomicU64::new(0));
        let accept = tokio::spawn(serve(listener, server, Arc::clone(&round_trips)));
        Ok(Self { url: format!("{head}@{here}/{database}"), round_trips, accept })
    }

    /// Address to give to the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Round trips so far, over all connections.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

impl Drop for CountingProxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(listener: TcpListener, server: String, round_trips: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(upstream) = TcpStream::connect(&server).await else { continue };
        drop((client.set_nodelay(true), upstream.set_nodelay(true)));
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = upstream.into_split();
        tokio::spawn(async move {
            drop(tokio::io::copy(&mut from_client, &mut to_server).await);
            drop(to_server.shutdown().await);
        });
        tokio::spawn(answers(from_server, to_client, Arc::clone(&round_trips)));
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, round_trips: Arc<AtomicU64>) -> Option<()> {
    // The answer to sqlx's SSLRequest is one byte without a length.
    let first = from.read_u8().await.ok()?;
    to.write_u8(first).await.ok()?;
    if first != b'N' {
        pass_message(first, &mut from, &mut to).await?;
    }
    loop {
        let kind = from.read_u8().await.ok()?;
        to.write_u8(kind).await.ok()?;
        pass_message(kind, &mut from, &mut to).await?;
        if kind == b'Z' {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Copies the length and the body that follow a message type.
async fn pass_message(_kind: u8, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<()> {
    let length = from.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length.checked_sub(4)?).ok()?];
    from.read_exact(&mut body).await.ok()?;
    to.write_u32(length).await.ok()?;
    to.write_all(&body).await.ok()
}
