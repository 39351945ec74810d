//! Statements that a workload signs with the key of its certificate, and that any other workload of the
//! trust domain can verify: no further key has to be handed out, and trust ends with the certificate.
//! Must not know what is stated.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caremesh_kernel::Timestamp;
use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::WorkloadIdentity;
use crate::identity::SpiffeId;

/// A statement is for a header: longer ones are refused before anything of them is decoded.
const MAX_BYTES: usize = 16 * 1024;
/// More certificates than any chain of ours has.
const MAX_CHAIN: usize = 4;

/// Why a statement was not signed, or is not believed. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The workload's key offers no scheme that others could verify, or signing failed.
    #[error("the workload's key cannot sign")]
    Unsigned,
    /// Not in the form of a statement.
    #[error("not a signed statement")]
    Malformed,
    /// The certificate is expired, of another authority, or names no workload of our trust domain.
    #[error("not signed by a workload of this mesh")]
    Stranger,
    /// The signature does not fit, or the statement is of another kind.
    #[error("the signature does not fit")]
    Forged,
}

/// What a verifier must know before it can read the rest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// The signature scheme, as TLS 1.3 numbers it.
    scheme: u16,
    /// The signer's certificate and intermediates, leaf first, DER in base64url.
    chain: Vec<String>,
}

impl WorkloadIdentity {
    /// Signs `content` as a statement of `kind` (`caremesh-ticket-1`): three base64url parts, as a JWS
    /// has them, good for a header. Signed with the key of the present certificate.
    ///
    /// # Errors
    /// [`StatementError::Unsigned`].
    pub fn sign(&self, kind: &str, content: &[u8]) -> Result<String, StatementError> {
        let key = self.certified_key();
        let schemes = self.algorithms().supported_schemes();
        let signer = key.key.choose_scheme(&schemes).ok_or(StatementError::Unsigned)?;
        // The root is with whoever verifies; it would only make the statement longer.
        let chain = key.cert.iter().filter(|it| !is_root(it)).map(|it| URL_SAFE_NO_PAD.encode(it));
        let head = Head { scheme: signer.scheme().into(), chain: chain.collect() };
        let head = serde_json::to_vec(&head).map_err(|_| StatementError::Unsigned)?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(content));
        let signature = signer.sign(&to_sign(kind, &signed)).map_err(|_| StatementError::Unsigned)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The signer and the content of a statement of `kind`, whose certificate is good at `now`.
    ///
    /// # Errors
    /// See [`StatementError`].
    pub fn verify(
        &self,
        kind: &str,
        statement: &str,
        now: Timestamp,
    ) -> Result<(SpiffeId, Vec<u8>), StatementError> {
        let parts = Parts::read(statement).ok_or(StatementError::Malformed)?;
        let (leaf, intermediates) = parts.chain.split_first().ok_or(StatementError::Malformed)?;
        let signer = self.workload_behind(leaf, intermediates, unix_time(now));
        let signer = signer.map_err(|_| StatementError::Stranger)?;
        self.check_signature(leaf, &parts, kind)?;
        Ok((signer, parts.content))
    }

    fn check_signature(
        &self,
        leaf: &CertificateDer<'_>,
        parts: &Parts<'_>,
        kind: &str,
    ) -> Result<(), StatementError> {
        let certificate = EndEntityCert::try_from(leaf).map_err(|_| StatementError::Stranger)?;
        let scheme = SignatureScheme::from(parts.scheme);
        let algorithms = self.algorithms().mapping.iter().find(|(known, _)| *known == scheme);
        let (_, algorithms) = algorithms.ok_or(StatementError::Malformed)?;
        let message = to_sign(kind, parts.signed);
        // A scheme names a hash; which curve it goes with is settled by the certificate's key.
        let fits = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            certificate.verify_signature(*algorithm, &message, &parts.signature).is_ok()
        };
        if algorithms.iter().any(fits) { Ok(()) } else { Err(StatementError::Forged) }
    }
}

/// A statement taken apart; nothing of it is believed yet.
struct Parts<'a> {
    signed: &'a str,
    scheme: u16,
    chain: Vec<CertificateDer<'static>>,
    content: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn read(statement: &'a str) -> Option<Self> {
        if statement.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = statement.rsplit_once('.')?;
        let (head, content) = signed.split_once('.')?;
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        if head.chain.len() > MAX_CHAIN {
            return None;
        }
        let certificate = |text: &String| URL_SAFE_NO_PAD.decode(text).ok().map(CertificateDer::from);
        Some(Self {
            signed,
            scheme: head.scheme,
            chain: head.chain.iter().map(certificate).collect::<Option<_>>()?,
            content: URL_SAFE_NO_PAD.decode(content).ok()?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

/// The kind stands first and ends in a zero byte: a signature over one kind is none over another, and
/// none over a TLS handshake, which begins with 64 spaces (RFC 8446, section 4.4.3).
fn to_sign(kind: &str, signed: &str) -> Vec<u8> {
    [kind.as_bytes(), &[0], signed.as_bytes()].concat()
}

fn is_root(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, it)| it.subject() == it.issuer())
}

fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0)))
}
