//! A plain gRPC channel to a gateway, as any client outside the mesh has one: TLS, no certificate of
//! its own. Must not know what is called.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// A channel to `localhost:port`, whose certificate must be signed by the authority in that PEM file.
/// Connects with the first call.
///
/// # Errors
/// When the file holds no certificate.
pub fn channel(port: u16, authority: &Path) -> Result<Channel> {
    let tls = TlsConnector::from(Arc::new(trusting(authority)?));
    let connect = service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    // TLS is the connector's business; the endpoint's own needs a feature that the mesh does not want.
    let endpoint = Endpoint::from_shared(format!("http://localhost:{port}"))?
        .origin(Uri::try_from(format!("https://localhost:{port}"))?);
    Ok(endpoint.connect_with_connector_lazy(connect))
}

fn trusting(authority: &Path) -> Result<ClientConfig> {
    let certificate = CertificateDer::from_pem_file(authority)
        .with_context(|| format!("{} holds no certificate", authority.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
