//! The connection to a collector: OTLP over gRPC, in plain text or over TLS. Opened when the first spans leave,
//! and again when it broke. Must not know spans.

use std::{io, path::Path, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};

use super::TelemetryError;
use crate::tls::web_client_config;

/// Longest that the collector may take to accept a connection, handshake included.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// A channel to `endpoint` (`http://…` or `https://…`), which believes `more_roots` beside the public ones.
///
/// # Errors
/// [`TelemetryError::Endpoint`] when it is no such address; [`TelemetryError::Tls`] when the roots cannot be used.
pub(super) fn channel(endpoint: &str, more_roots: Option<&Path>) -> Result<Channel, TelemetryError> {
    let refused = || TelemetryError::Endpoint(endpoint.to_owned());
    let target = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| refused())?;
    let target = target.connect_timeout(CONNECT_LIMIT);
    match target.uri().scheme_str() {
        Some("http") => Ok(target.connect_lazy()),
        Some("https") => Ok(target.connect_with_connector_lazy(tls(more_roots)?)),
        _ => Err(refused()),
    }
}

/// tonic's own TLS would come with a second way to configure rustls; this is the mesh's.
fn tls(
    more_roots: Option<&Path>,
) -> Result<
    impl tower::Service<Uri, Response = TokioIo<TlsStream<TcpStream>>, Error = io::Error, Future: Send>
    + Send
    + 'static,
    TelemetryError,
> {
    let mut config = web_client_config(more_roots)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    Ok(tower::service_fn(move |uri| {
        let connecting = connect(uri, Arc::clone(&config));
        async move { timeout(CONNECT_LIMIT, connecting).await?.map(TokioIo::new) }
    }))
}

async fn connect(uri: Uri, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}
