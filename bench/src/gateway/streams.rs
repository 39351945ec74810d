//! What an open stream costs while nothing happens on it: memory of a fresh gateway process before and
//! with thousands of them. Must not know how streams are forwarded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use super::upstream::Text;
use crate::measure::resident_megabytes;

/// Streams of one connection; a browser shares one among all its tabs.
const STREAMS_PER_CONNECTION: u64 = 100;
/// Until both sides have handled what the last stream caused.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens streams through one gateway.
pub(crate) struct Opener {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) authorization: String,
}

impl Opener {
    /// Kilobytes of the process `pid` for each of `count` idle streams, their connections included.
    #[expect(clippy::cast_precision_loss, reason = "a count of streams")]
    pub(crate) async fn kilobytes_each(&self, pid: u32, count: u64) -> anyhow::Result<f64> {
        // The first streams fill what is shared by all.
        let warm = self.open(STREAMS_PER_CONNECTION).await?;
        tokio::time::sleep(SETTLE).await;
        let before = resident_megabytes(pid)?;
        let open = self.open(count).await?;
        tokio::time::sleep(SETTLE).await;
        let after = resident_megabytes(pid)?;
        drop((warm, open));
        Ok((after - before) * 1024.0 / count as f64)
    }

    /// Whether a stream can be opened now.
    pub(crate) async fn answers(&self) -> bool {
        match self.connect().await {
            Ok(channel) => self.hold(channel).await.is_ok(),
            Err(_) => false,
        }
    }

    async fn open(&self, count: u64) -> anyhow::Result<Vec<Streaming<Text>>> {
        let mut streams = Vec::new();
        for _ in 0..count / STREAMS_PER_CONNECTION {
            let channel = self.connect().await?;
            for _ in 0..STREAMS_PER_CONNECTION {
                streams.push(self.hold(channel.clone()).await?);
            }
        }
        Ok(streams)
    }

    /// A stream that has begun: its first message is here.
    async fn hold(&self, channel: Channel) -> anyhow::Result<Streaming<Text>> {
        let mut grpc = Grpc::new(channel);
        grpc.ready().await?;
        let mut request = tonic::Request::new(Text::usual());
        request.metadata_mut().insert("authorization", self.authorization.parse()?);
        let path = "/caremesh.bench.v1.LoadService/Hold".parse()?;
        let answer = grpc.server_streaming(request, path, ProstCodec::<Text, Text>::default()).await?;
        let mut stream = answer.into_inner();
        stream.message().await?.context("a stream ended at once")?;
        Ok(stream)
    }

    async fn connect(&self) -> anyhow::Result<Channel> {
        let (address, tls) = (self.address, TlsConnector::from(self.tls.clone()));
        let connector = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        Ok(Endpoint::from_static("https://localhost").connect_with_connector(connector).await?)
    }
}
