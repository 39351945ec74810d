//! A TCP proxy that does to connections what networks do: delay, cut, swallow, half-open, slow reads. The fault
//! can be changed while connections are open. Must not know what is spoken through it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What happens to the bytes, from now on and on every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    None,
    /// Each piece is held back for so long, in both directions.
    Delay(Duration),
    /// New connections are refused, open ones are closed: the process was killed.
    Cut,
    /// Connections stay open and are accepted, nothing passes and nothing is said: the cable was cut.
    Swallow,
    /// What the client sends arrives, what the server answers does not.
    HalfOpen,
    /// The client's side is read a few bytes at a time: this many in each tenth of a second.
    SlowRead(usize),
}

/// A proxy on a free loopback port; it ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Stands before `server`, and lets everything pass at first.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn before(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the fault proxy")?;
        let address = listener.local_addr()?;
        let (fault, told) = watch::channel(Fault::None);
        let server = tokio::spawn(accept(listener, server, told));
        Ok(Self { address, fault, server })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let mut listener = Some(listener);
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let mut connections = JoinSet::new();
    loop {
        let accepted = match &listener {
            Some(listener) => tokio::select! {
                accepted = listener.accept() => accepted.ok(),
                _ = fault.changed() => None,
            },
            None => fault.changed().await.ok().and(None),
        };
        let now = *fault.borrow_and_update();
        if now == Fault::Cut {
            // Closed whole, so that a connection is refused and not merely unanswered.
            connections.shutdown().await;
            listener = None;
        } else if listener.is_none() {
            let Some(address) = address else { return };
            listener = TcpListener::bind(address).await.ok();
        }
        if let (Some((client, _)), true) = (accepted, now != Fault::Cut) {
            connections.spawn(carry(client, server, fault.clone()));
        }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, fault: watch::Receiver<Fault>) {
    let fault = Arc::new(fault);
    pause_while(&fault, |fault| fault == Fault::Swallow).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pass(from_client, to_server, &fault, |fault| fault == Fault::Swallow),
        pass(from_server, to_client, &fault, |fault| matches!(fault, Fault::Swallow | Fault::HalfOpen)),
    );
}

/// One direction, until either side has ended it.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fault: &watch::Receiver<Fault>,
    stopped: fn(Fault) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let most = match *fault.borrow() {
            Fault::SlowRead(bytes) => bytes.clamp(1, buffer.len()),
            _ => buffer.len(),
        };
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { break };
        pause_while(fault, stopped).await;
        let now = *fault.borrow();
        match now {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::SlowRead(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => {}
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}

async fn pause_while(fault: &watch::Receiver<Fault>, stopped: fn(Fault) -> bool) {
    let mut fault = fault.clone();
    // The proxy is gone: then nothing passes any more anyway.
    drop(fault.wait_for(|fault| !stopped(*fault)).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream) -> Option<u8> {
        stream.write_u8(7).await.ok()?;
        let answer = tokio::time::timeout(Duration::from_millis(150), stream.read_u8());
        answer.await.ok()?.ok()
    }

    #[tokio::test]
    async fn faults_come_and_go_on_an_open_connection() {
        let proxy = FaultProxy::before(echo().await).await.expect("a proxy");
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connected");
        assert_eq!(said(&mut stream).await, Some(7));
        for fault in [Fault::Swallow, Fault::HalfOpen, Fault::Delay(Duration::from_millis(200))] {
            proxy.set(fault);
            assert_eq!(said(&mut stream).await, None, "{fault:?}");
            proxy.set(Fault::None);
            // What was held back arrives now.
            let late = tokio::time::timeout(Duration::from_secs(2), stream.read_u8());
            assert_eq!(late.await.expect("in time").expect("an answer"), 7, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_cut_closes_what_is_open_and_refuses_what_is_new() {
        let proxy = FaultProxy::before(echo().await).await.expect("a proxy");
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connected");
        assert_eq!(said(&mut stream).await, Some(7));
        proxy.set(Fault::Cut);
        let ended = tokio::time::timeout(Duration::from_secs(2), stream.read_u8());
        ended.await.expect("at once").expect_err("the connection is closed");
        let refused = TcpStream::connect(proxy.address()).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.set(Fault::None);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut again = TcpStream::connect(proxy.address()).await.expect("connected");
        assert_eq!(said(&mut again).await, Some(7));
    }
}
