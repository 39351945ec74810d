//! Verifies the other side of a handshake: chain to our roots, trust domain, and (as a client) the
//! service that was meant to be reached. DNS names are not looked at: a pod's address proves nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::workload::Live;
use crate::identity::SpiffeId;

/// Accepts a peer whose certificate chains to our roots and names a workload of our trust domain: any one as a
/// client, the expected one as a server.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// None where peers are clients.
    pub(super) expected: Option<Box<str>>,
}

fn refused() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

pub(super) fn workload_of(certificate: &CertificateDer<'_>, trust_domain: &str) -> Result<SpiffeId, Error> {
    let id = SpiffeId::from_certificate(certificate).map_err(|_| refused())?;
    if id.trust_domain() == trust_domain { Ok(id) } else { Err(refused()) }
}

impl Peers {
    fn check_name(&self, certificate: &CertificateDer<'_>, trust_domain: &str) -> Result<(), Error> {
        let found = workload_of(certificate, trust_domain)?;
        let meant = self.expected.as_deref().is_none_or(|expected| expected == found.service());
        if meant { Ok(()) } else { Err(refused()) }
    }
}

/// What rustls asks of either kind of verifier in the same words.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for Peers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: they are borrowed from the verifier, and our roots may be replaced under it.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let live = self.live.load();
        let verified = live.clients.verify_client_cert(end_entity, intermediates, now)?;
        self.check_name(end_entity, live.id.trust_domain())?;
        Ok(verified)
    }

    signatures!();
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let live = self.live.load();
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let (roots, algorithms) = (&live.roots, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        self.check_name(end_entity, live.id.trust_domain())?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}
