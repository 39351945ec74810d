//! The running identity of one service: hands out TLS configurations that all read the same cell, so
//! that certificate and trust can be replaced while connections are open.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use caremesh_kernel::Timestamp;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{ResolvesClientCert, Resumption},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};

use super::{
    Material, TlsError,
    verify::{Peers, workload_of},
};
use crate::identity::SpiffeId;

const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The identity under which this process serves and calls. Cheap to clone; clones share one cell.
#[derive(Clone)]
pub struct WorkloadIdentity {
    live: Arc<ArcSwap<Live>>,
    provider: Arc<CryptoProvider>,
}

/// What a handshake needs, compiled once per certificate.
pub(super) struct Live {
    pub(super) id: SpiffeId,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    key: Arc<CertifiedKey>,
    validity: (Timestamp, Timestamp),
}

impl WorkloadIdentity {
    /// Starts with `material`.
    ///
    /// # Errors
    /// When certificate, key and roots do not fit together, or the certificate names no workload.
    pub fn new(material: Material) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let live = Live::compile(material, &provider)?;
        live.show_expiry();
        Ok(Self { live: Arc::new(ArcSwap::from_pointee(live)), provider })
    }

    /// Replaces certificate, key and trust for every handshake from now on. The reload loop calls
    /// this; on an error the old identity stays.
    ///
    /// # Errors
    /// As [`WorkloadIdentity::new`].
    pub fn replace(&self, material: Material) -> Result<(), TlsError> {
        let live = Live::compile(material, &self.provider)?;
        live.show_expiry();
        self.live.store(Arc::new(live));
        Ok(())
    }

    /// From when until when the present certificate is good.
    #[must_use]
    pub fn validity(&self) -> (Timestamp, Timestamp) {
        self.live.load().validity
    }

    /// The name in the present certificate.
    #[must_use]
    pub fn id(&self) -> SpiffeId {
        self.live.load().id.clone()
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.live.load().key.clone()
    }

    pub(super) fn algorithms(&self) -> WebPkiSupportedAlgorithms {
        self.provider.signature_verification_algorithms
    }

    /// The workload of our trust domain that a chain stands for at `now`.
    pub(super) fn workload_behind(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<SpiffeId, rustls::Error> {
        let live = self.live.load();
        live.clients.verify_client_cert(leaf, intermediates, now)?;
        workload_of(leaf, live.id.trust_domain())
    }

    /// For a service in the mesh: HTTP/2, TLS 1.3, a client certificate of our trust domain required.
    ///
    /// # Errors
    /// When the provider supports no TLS 1.3 suite.
    pub fn mesh_server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier = self.verifier(None);
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(Present(self.live.clone())));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        // A resumed session would skip the look at the certificate, and so outlive a replaced trust.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For the gateway: HTTP/2 and HTTP/1.1, TLS 1.2 and 1.3, no client certificate asked for.
    ///
    /// # Errors
    /// When the provider supports none of these.
    pub fn edge_server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Present(self.live.clone())));
        config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
        Ok(Arc::new(config))
    }

    /// For calls to `service`: only a server whose certificate names that service is spoken to.
    ///
    /// # Errors
    /// When the provider supports no TLS 1.3 suite.
    pub fn client_config(&self, service: &str) -> Result<Arc<ClientConfig>, TlsError> {
        let verifier = self.verifier(Some(service));
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Present(self.live.clone())));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl WorkloadIdentity {
    fn verifier(&self, expected: Option<&str>) -> Peers {
        Peers { live: self.live.clone(), algorithms: self.algorithms(), expected: expected.map(Into::into) }
    }
}

impl Live {
    fn compile(material: Material, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let id = material.workload()?;
        let validity = material.validity()?;
        let roots = Arc::new(material.root_store()?);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|_| TlsError::NoRoots)?;
        let key = Arc::new(CertifiedKey::from_der(material.chain, material.key, provider)?);
        Ok(Self { id, roots, clients, key, validity })
    }

    /// For an alert: a certificate that nobody renews takes its service down on a day that is known.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    fn show_expiry(&self) {
        let seconds = self.validity.1.as_micros() / 1_000_000;
        let service = self.id.service().to_owned();
        metrics::gauge!("caremesh_certificate_expiry_timestamp_seconds", "caremesh_service" => service)
            .set(seconds as f64);
    }
}

impl fmt::Debug for WorkloadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkloadIdentity").field(&self.id()).finish()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.id).finish()
    }
}

/// Presents whatever certificate the cell holds at the moment of the handshake.
#[derive(Debug)]
struct Present(Arc<ArcSwap<Live>>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

impl ResolvesClientCert for Present {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
