//! The name of a workload: `spiffe://<trust-domain>/svc/<name>`, as its certificate carries it.
//! Knows nothing of TLS configuration or of people.

use std::{fmt, str::FromStr, sync::Arc};

use x509_parser::{extensions::GeneralName, prelude::FromDer};

const SCHEME: &str = "spiffe://";
const WORKLOAD_PATH: &str = "/svc/";

/// The identity of a workload, taken from the one URI name of its certificate.
/// Two values are equal when trust domain and service are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    trust_domain: Arc<str>,
    service: Arc<str>,
}

/// Why a text or a certificate names no workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// The text is not `spiffe://<trust-domain>/svc/<name>` with lower-case letters, digits, `-`, `.`.
    #[error("`{0}` is not a workload id; expected spiffe://<trust-domain>/svc/<name>")]
    Malformed(String),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read as X.509")]
    UnreadableCertificate,
    /// The certificate must carry exactly one URI name (SPIFFE X.509-SVID, section 2).
    #[error("the certificate carries {0} URI names; a workload's carries exactly one")]
    UriNames(usize),
}

impl SpiffeId {
    /// The id of `service` in `trust_domain`.
    ///
    /// # Errors
    /// [`SpiffeError::Malformed`] when either holds anything but lower-case letters, digits, `-` and `.`.
    pub fn new(trust_domain: &str, service: &str) -> Result<Self, SpiffeError> {
        if !is_name(trust_domain) || !is_name(service) {
            return Err(SpiffeError::Malformed(format!("{SCHEME}{trust_domain}{WORKLOAD_PATH}{service}")));
        }
        Ok(Self { trust_domain: trust_domain.into(), service: service.into() })
    }

    /// The id in a DER certificate whose chain has been verified already.
    ///
    /// # Errors
    /// When the certificate cannot be read, has not exactly one URI name, or that name is no workload's.
    pub fn from_certificate(der: &[u8]) -> Result<Self, SpiffeError> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| SpiffeError::UnreadableCertificate)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| SpiffeError::UnreadableCertificate)?
            .ok_or(SpiffeError::UriNames(0))?;
        let uris: Vec<&str> = names.value.general_names.iter().filter_map(uri_of).collect();
        match uris.as_slice() {
            [only] => only.parse(),
            several => Err(SpiffeError::UriNames(several.len())),
        }
    }

    /// The domain whose authority signed the certificate, `caremesh.local`.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The service's name, `svc-policy`, as access rules name it.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

fn uri_of<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || SpiffeError::Malformed(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(malformed)?;
        let (trust_domain, service) = rest.split_once(WORKLOAD_PATH).ok_or_else(malformed)?;
        Self::new(trust_domain, service).map_err(|_| malformed())
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{WORKLOAD_PATH}{}", self.trust_domain, self.service)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::SpiffeId;

    #[test]
    fn workload_id_reads_what_it_writes() {
        let id = SpiffeId::new("caremesh.local", "svc-policy").expect("a valid id");
        assert_eq!(id.to_string(), "spiffe://caremesh.local/svc/svc-policy");
        assert_eq!(id.to_string().parse::<SpiffeId>().expect("reads back"), id);
    }

    #[test]
    fn anything_else_is_no_workload_id() {
        for text in [
            "",
            "https://caremesh.local/svc/svc-policy",
            "spiffe://caremesh.local/svc-policy",
            "spiffe:///svc/svc-policy",
            "spiffe://caremesh.local/svc/",
            "spiffe://caremesh.local/svc/a/b",
            "spiffe://caremesh.local/svc/Svc",
            "spiffe://caremesh.local/ns/x/svc/svc-policy",
            "spiffe://caremesh.local/svc/svc-policy?x",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text} was accepted");
        }
    }
}
