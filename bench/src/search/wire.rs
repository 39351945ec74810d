//! A wire between svc-pharmacy and its engine that tells how long the engine took for what it was last asked: from the first
//! byte of a request to the last byte of its answer. Must not know what is said.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// The wire; it lives as long as the program.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    clock: Arc<Mutex<Exchange>>,
}

#[derive(Default)]
struct Exchange {
    asked: Option<Instant>,
    answered: Option<Instant>,
}

impl Wire {
    /// A wire to `engine`.
    pub(crate) async fn to(engine: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let clock = Arc::new(Mutex::new(Exchange::default()));
        let of_wire = Arc::clone(&clock);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(engine).await else { continue };
                drop((near.set_nodelay(true), far.set_nodelay(true)));
                let ((from, back), (answers, to)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(from, to, Arc::clone(&of_wire), true));
                tokio::spawn(carry(answers, back, Arc::clone(&of_wire), false));
            }
        });
        Ok(Self { address, clock })
    }

    /// What the engine took since this was last asked.
    pub(crate) fn took(&self) -> Option<Duration> {
        let exchange = std::mem::take(&mut *self.clock.lock().unwrap_or_else(PoisonError::into_inner));
        Some(exchange.answered?.duration_since(exchange.asked?))
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, clock: Arc<Mutex<Exchange>>, asks: bool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if asks {
            clock.lock().unwrap_or_else(PoisonError::into_inner).asked.get_or_insert_with(Instant::now);
        } else {
            clock.lock().unwrap_or_else(PoisonError::into_inner).answered = Some(Instant::now());
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
