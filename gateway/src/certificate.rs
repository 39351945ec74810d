//! The certificate that the edge shows to browsers and partners, read from files and read again when
//! they change. Must not know the mesh's own certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::config::CertificateFiles;

/// Between two looks at the files. Looked at, not watched: kubelet swaps a link that inotify loses.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Why the edge's certificate cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read as PEM of its kind.
    #[error("gateway.certificate: {path} must hold {rule}")]
    File {
        /// The file.
        path: PathBuf,
        /// What must be in it.
        rule: &'static str,
        /// What was found.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key are not a pair, or of a kind that is not supported.
    #[error("gateway.certificate: certificate and key do not fit together")]
    Pair(#[from] rustls::Error),
}

/// A certificate that can be replaced while it is shown.
#[derive(Debug)]
pub(crate) struct EdgeCertificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    shown: ArcSwap<CertifiedKey>,
}

impl EdgeCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub(crate) fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = ArcSwap::from_pointee(read(&files, &provider)?);
        Ok(Self { files, provider, shown })
    }

    /// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    ///
    /// # Errors
    /// When the provider supports neither version, which no build of ours can bring about.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(self.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the files again whenever they change. Never ends by itself.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut known = changed(&self.files).await;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = changed(&self.files).await;
            if now != known {
                known = now;
                self.reload();
            }
        }
    }

    /// Keeps the old certificate when the new files are not whole yet: the next change brings them.
    pub(crate) fn reload(&self) {
        match read(&self.files, &self.provider) {
            Ok(key) => {
                self.shown.store(Arc::new(key));
                tracing::info!("The edge shows a new certificate.");
            }
            Err(error) => tracing::error!(%error, "The edge's new certificate cannot be used."),
        }
    }
}

#[derive(Debug)]
struct Shown(Arc<EdgeCertificate>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.shown.load_full())
    }
}

fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect)
        .map_err(|source| unreadable(&files.chain, "PEM certificates", source))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| unreadable(&files.key, "one PEM private key", source))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

fn unreadable(path: &Path, rule: &'static str, source: rustls::pki_types::pem::Error) -> CertificateError {
    CertificateError::File { path: path.to_owned(), rule, source }
}

async fn changed(files: &CertificateFiles) -> [Option<SystemTime>; 2] {
    let mut times = [None, None];
    for (time, path) in times.iter_mut().zip([&files.chain, &files.key]) {
        *time = tokio::fs::metadata(path).await.and_then(|it| it.modified()).ok();
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use caremesh_kernel::SystemClock;
    use caremesh_testkit::identity::TestAuthority;

    fn issued(authority: &TestAuthority, name: &str) -> CertificateFiles {
        let (chain, key) = authority.ca().issue_files(name, &SystemClock).expect("signed");
        CertificateFiles { chain, key }
    }

    #[test]
    fn a_new_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
        let authority = TestAuthority::new().expect("authority");
        let edge = EdgeCertificate::load(issued(&authority, "gateway")).expect("a pair");
        let first = edge.shown.load().cert.clone();

        issued(&authority, "gateway");
        edge.reload();
        let second = edge.shown.load().cert.clone();
        assert_ne!(first, second);

        std::fs::write(&edge.files.key, "half a ke").expect("written");
        edge.reload();
        assert_eq!(edge.shown.load().cert, second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let authority = TestAuthority::new().expect("authority");
        let (one, other) = (issued(&authority, "gateway"), issued(&authority, "svc-other"));
        let mixed = CertificateFiles { chain: one.chain, key: other.key };
        let refused = EdgeCertificate::load(mixed).expect_err("no pair").to_string();
        assert!(refused.contains("do not fit together"), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let files = CertificateFiles { chain: "/nowhere/edge.pem".into(), key: "/nowhere/edge.key".into() };
        let refused = EdgeCertificate::load(files).expect_err("no file").to_string();
        assert!(refused.contains("/nowhere/edge.pem must hold PEM certificates"), "{refused}");
    }
}
