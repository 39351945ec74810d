//! Which issuers are believed, and how their claims are named.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use crate::tls::TlsError;

/// Whose tokens are accepted. Empty issuers: no person can call, only workloads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// The issuers that are believed; a token of any other is refused.
    pub issuers: Vec<IssuerConfig>,
    /// How far an issuer's clock may be from ours, in seconds (0 to 300).
    pub leeway_seconds: u32,
    /// How many verified tokens are remembered (about 2 KiB each).
    pub remembered_tokens: u64,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self { issuers: Vec::new(), leeway_seconds: 30, remembered_tokens: 10_000 }
    }
}

/// One OIDC issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Exactly what stands in `iss`.
    pub issuer: String,
    /// A token must be for one of these (`aud`).
    pub audiences: Vec<String>,
    /// Where the key set is: `https://…`, `http://` on the loopback address only, or a file's path as `file://…`.
    #[serde(deserialize_with = "url_text")]
    pub jwks_url: Url,
    /// Roots for `https` beyond the public ones, PEM: the local authority of a machine.
    #[serde(default)]
    pub jwks_roots: Option<PathBuf>,
    /// Signature algorithms that are accepted. Never a shared-secret one.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// After this many seconds the key set is fetched again, while the old one still serves: how long
    /// a revoked key lives on.
    #[serde(default = "default_refresh")]
    pub refresh_seconds: u32,
    /// For how many seconds the old key set serves while the issuer cannot be reached.
    #[serde(default = "default_stale")]
    pub serve_stale_seconds: u32,
    /// An unknown key id makes us look for a new key set at most once in this many seconds.
    #[serde(default = "default_miss")]
    pub unknown_key_seconds: u32,
    /// How the claims are named.
    #[serde(default)]
    pub claims: ClaimNames,
}

/// Names of claims; a dot goes into an object (`realm_access.roles`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    /// The person's record (`per_…`), absent until there is one.
    pub person_id: String,
    /// Roles: a list, or one text separated by spaces; names as in the contract, `claims_officer`.
    pub roles: String,
    /// The organisation of staff and partners (`org_…`).
    pub organisation: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            person_id: "person_id".to_owned(),
            roles: "roles".to_owned(),
            organisation: "organisation".to_owned(),
        }
    }
}

fn url_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom("jwks_url must be a URL"))
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA]
}

fn default_refresh() -> u32 {
    300
}

fn default_stale() -> u32 {
    86_400
}

fn default_miss() -> u32 {
    10
}

/// Why identity could not be set up. Names the issuer and the rule.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A setting breaks a rule.
    #[error("identity.issuers `{issuer}`: {rule}")]
    Issuer {
        /// The issuer's name.
        issuer: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// Two entries are for the same issuer.
    #[error("identity.issuers `{0}` is there twice")]
    Twice(String),
    /// The leeway is too large to be a clock's error.
    #[error("identity.leeway_seconds {0} must be at most 300")]
    Leeway(u32),
    /// The roots for the key set cannot be used.
    #[error("identity.issuers jwks_roots: {0}")]
    Roots(#[from] TlsError),
}

impl IdentityConfig {
    pub(super) fn check(&self) -> Result<(), IdentityError> {
        if self.leeway_seconds > 300 {
            return Err(IdentityError::Leeway(self.leeway_seconds));
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            issuer.check()?;
            if self.issuers[..index].iter().any(|other| other.issuer == issuer.issuer) {
                return Err(IdentityError::Twice(issuer.issuer.clone()));
            }
        }
        Ok(())
    }
}

impl IssuerConfig {
    fn check(&self) -> Result<(), IdentityError> {
        let refused = |rule| Err(IdentityError::Issuer { issuer: self.issuer.clone(), rule });
        if self.issuer.is_empty() {
            return refused("issuer must not be empty");
        }
        if self.issuer.contains('#') {
            return refused("issuer must not hold `#`: an issuer's URL has no fragment");
        }
        if self.audiences.is_empty() {
            return refused("audiences must hold at least one: a token for anybody is a token for nobody");
        }
        if self.algorithms.is_empty() {
            return refused("algorithms must hold at least one");
        }
        // With a shared secret everybody who can verify a token can make one.
        if self.algorithms.iter().any(|algorithm| algorithm.family() == AlgorithmFamily::Hmac) {
            return refused("algorithms must not hold a shared-secret one (HS256, HS384, HS512)");
        }
        match self.jwks_url.scheme() {
            "https" | "file" => Ok(()),
            "http" if is_loopback(&self.jwks_url) => Ok(()),
            _ => refused("jwks_url must be https, file, or http on the loopback address"),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
