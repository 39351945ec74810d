//! TLS towards servers outside the mesh (an issuer's key set, a collector): public roots, and those that a
//! setting adds. Must not know workloads.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::{TlsError, material::certificates};

/// Believes the public roots and those in the PEM file `more_roots`. No client certificate, no ALPN.
///
/// # Errors
/// Names the file when it cannot be read or holds no certificate that can be a root.
pub fn web_client_config(more_roots: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = more_roots {
        let (accepted, _) = roots.add_parsable_certificates(certificates(path)?);
        if accepted == 0 {
            return Err(TlsError::NoRoots);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
