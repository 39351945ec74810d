//! Settings of the demo issuer and the clients it knows.
//! Must not know HTTP.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use url::Url;

/// Settings of the embedded OIDC issuer. It exists for `caremesh up` only: production uses an OIDC
/// provider of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// Where it listens; a loopback address. Port 0 takes a free one. Default `127.0.0.1:8444`.
    pub listen: SocketAddr,
    /// The audience of its access tokens: what every hop of the mesh expects. Default `caremesh`.
    pub audience: String,
    /// Who may ask it to sign people in.
    pub clients: Vec<Client>,
}

/// A public client (no secret: a browser or a program on the person's own machine).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its id, as in the authorization request.
    pub client_id: String,
    /// What the sign-in page calls it.
    pub name: String,
    /// Where a code may be sent. Compared byte by byte: no prefix, no pattern (RFC 9700, 4.1).
    pub redirect_uris: Vec<String>,
    /// Where a person may be sent after signing out. Compared byte by byte.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
}

impl Default for IssuerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8444)),
            audience: "caremesh".to_owned(),
            clients: vec![Client {
                client_id: "caremesh-web".to_owned(),
                name: "Caremesh web app".to_owned(),
                redirect_uris: vec!["https://localhost:8443/auth/callback".to_owned()],
                post_logout_redirect_uris: vec!["https://localhost:8443/".to_owned()],
            }],
        }
    }
}

impl IssuerConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the setting and the rule it breaks.
    pub fn validate(&self) -> Result<()> {
        ensure!(
            self.listen.ip().is_loopback(),
            "issuer.listen is {}, but the demo issuer signs anybody in without a password and so \
             listens on a loopback address only: use 127.0.0.1 or [::1]",
            self.listen
        );
        self.clients.iter().try_for_each(Client::validate)
    }

    /// The client of that id.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.client_id == client_id)
    }

    /// The origins that the clients' pages have, for CORS.
    #[must_use]
    pub fn client_origins(&self) -> Vec<String> {
        let uris = self.clients.iter().flat_map(|client| &client.redirect_uris);
        let mut origins: Vec<String> = uris.filter_map(|uri| origin_of(uri)).collect();
        origins.sort();
        origins.dedup();
        origins
    }
}

impl Client {
    fn validate(&self) -> Result<()> {
        ensure!(!self.redirect_uris.is_empty(), "issuer.clients: {} has no redirect_uris", self.client_id);
        let uris = self.redirect_uris.iter().chain(&self.post_logout_redirect_uris);
        for uri in uris {
            let usable = Url::parse(uri).is_ok_and(|url| is_safe_target(&url));
            ensure!(
                usable,
                "issuer.clients: {} has the redirect URI {uri:?}; it must be an absolute https URL \
                 (http only for a loopback host) without a fragment",
                self.client_id
            );
        }
        Ok(())
    }
}

/// The origin of an absolute URL, `https://localhost:8443`.
pub(super) fn origin_of(uri: &str) -> Option<String> {
    Url::parse(uri).ok().map(|url| url.origin().ascii_serialization())
}

fn is_safe_target(url: &Url) -> bool {
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    secure && url.fragment().is_none() && url.host_str().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        let config = IssuerConfig { listen: ([0, 0, 0, 0], 8444).into(), ..IssuerConfig::default() };
        let error = config.validate().expect_err("refused").to_string();
        assert!(error.contains("issuer.listen") && error.contains("loopback"), "{error}");
    }

    #[test]
    fn a_redirect_uri_in_the_clear_to_another_machine_is_refused() {
        let mut config = IssuerConfig::default();
        config.clients[0].redirect_uris.push("http://example.com/callback".to_owned());
        let error = config.validate().expect_err("refused").to_string();
        assert!(error.contains("http://example.com/callback"), "{error}");
    }
}
