//! Who a workload is on the wire: the local authority, certificates with SPIFFE names, mutual TLS on
//! both sides, and the accept loop that tells the layers above who is calling.
//! Must not know tokens, people or any method.
//!
//! The reload seam: every configuration handed out reads its certificate and its trust through one
//! shared cell, so [`WorkloadIdentity::replace`] changes them for all new handshakes at once.

mod listener;
mod local_ca;
mod material;
mod renew;
mod statement;
mod verify;
mod web;
mod workload;

use std::{io, path::PathBuf};

pub use listener::{Connection, Handshakes, Incoming, Peer, listen};
pub use local_ca::LocalCa;
pub use material::{CertificateFiles, Material};
pub use renew::Renewing;
pub use statement::StatementError;
pub use web::web_client_config;
pub use workload::WorkloadIdentity;

use crate::identity::SpiffeError;

/// Installs aws-lc-rs as the process's one TLS provider. The first line of every `main`; calling it
/// again changes nothing.
pub fn install_provider() {
    // Err means that a provider is there already: deny.toml keeps that from being another one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// Why an identity could not be made or loaded. Names the file and the rule; never key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the identity cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no usable PEM block of the kind that is needed.
    #[error("{path}: {rule}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        rule: &'static str,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// The name is not one a workload can have, or the certificate carries none.
    #[error("the certificate names no workload")]
    Name(#[from] SpiffeError),
    /// The certificate is for another trust domain than the configured one.
    #[error("the certificate is of trust domain `{found}`; configured is `{expected}`")]
    TrustDomain {
        /// The configured domain.
        expected: String,
        /// The one in the certificate.
        found: String,
    },
    /// Certificate, key and roots do not fit together.
    #[error("certificate, key and roots do not fit together")]
    Rustls(#[from] rustls::Error),
    /// No root certificate was accepted, so nobody could be verified.
    #[error("the trust bundle holds no usable root certificate")]
    NoRoots,
}
