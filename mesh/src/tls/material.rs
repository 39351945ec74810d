//! What an identity is made of: chain, key and roots, from PEM files in production. The key leaves
//! this module only into rustls.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use caremesh_kernel::Timestamp;
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use serde::Deserialize;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::TlsError;
use crate::identity::{SpiffeError, SpiffeId};

/// Where a production identity lies: what a cert-manager or SPIFFE CSI volume mounts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The workload's certificate and its intermediates, PEM, leaf first.
    pub certificate: PathBuf,
    /// The private key, PEM (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
    /// The roots that sign workloads of this mesh, PEM.
    pub roots: PathBuf,
    /// The trust domain that the certificate must be of.
    pub trust_domain: String,
}

/// A chain, its key and the roots to verify others by.
pub struct Material {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) roots: Vec<CertificateDer<'static>>,
}

impl Material {
    /// Reads an identity from PEM files.
    ///
    /// # Errors
    /// Names the file that is missing or unreadable, or holds no such PEM block; and a certificate of
    /// another trust domain.
    pub fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let material = Self {
            chain: certificates(&files.certificate)?,
            key: private_key(&files.key)?,
            roots: certificates(&files.roots)?,
        };
        let id = material.workload()?;
        if id.trust_domain() != files.trust_domain {
            return Err(TlsError::TrustDomain {
                expected: files.trust_domain.clone(),
                found: id.trust_domain().to_owned(),
            });
        }
        Ok(material)
    }

    /// The workload that the leaf certificate names.
    pub(super) fn workload(&self) -> Result<SpiffeId, TlsError> {
        let leaf = self.chain.first().ok_or(TlsError::NoRoots)?;
        Ok(SpiffeId::from_certificate(leaf)?)
    }

    /// From when until when the leaf certificate is good.
    pub(super) fn validity(&self) -> Result<(Timestamp, Timestamp), TlsError> {
        let leaf = self.chain.first().ok_or(TlsError::NoRoots)?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| SpiffeError::UnreadableCertificate)?;
        let instant = |time: ASN1Time| Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000));
        Ok((instant(leaf.validity.not_before), instant(leaf.validity.not_after)))
    }

    pub(super) fn root_store(&self) -> Result<RootCertStore, TlsError> {
        let mut store = RootCertStore::empty();
        let (accepted, _) = store.add_parsable_certificates(self.roots.iter().cloned());
        if accepted == 0 {
            return Err(TlsError::NoRoots);
        }
        Ok(store)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("chain", &self.chain.len())
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Pem { path: path.to_owned(), rule: "must hold at least one PEM certificate" }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| TlsError::Pem { path: path.to_owned(), rule: "must hold one PEM private key" })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| file_error(path, source))
}

pub(super) fn file_error(path: &Path, source: io::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}
