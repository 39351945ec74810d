//! The embedded OIDC issuer of `caremesh up`: authorization code with PKCE, refresh, sign-out, and a
//! page that lists the demo people. For demos only. Must not know the gateway or any service.

mod authorize;
mod claims;
mod config;
mod discovery;
mod grants;
mod headers;
mod keys;
mod listener;
mod page;
mod secret;
mod session;
mod token;

use std::sync::Arc;

use anyhow::Result;
use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::{get, post};
use caremesh_kernel::Clock;

pub use config::{Client, IssuerConfig};
pub use keys::KeyRing;
pub use listener::TlsListener;

use crate::demo::DemoPerson;
use claims::{AccessClaims, CLI_CLIENT, CLI_TOKEN_LIFE_S, TokenFor};
use grants::Grants;

/// The issuer: what every route shares.
pub struct Issuer {
    config: IssuerConfig,
    url: String,
    keys: KeyRing,
    people: ArcSwap<Vec<DemoPerson>>,
    grants: Grants,
    clock: Arc<dyn Clock>,
}

impl Issuer {
    /// An issuer at a URL, `https://localhost:8444`, for these people.
    ///
    /// # Errors
    /// When the settings break a rule; the error names it.
    pub fn new(
        config: IssuerConfig,
        url: String,
        keys: KeyRing,
        people: Vec<DemoPerson>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        config.validate()?;
        let people = ArcSwap::from_pointee(people);
        Ok(Self { config, url, keys, people, grants: Grants::default(), clock })
    }

    /// The routes with their headers.
    pub fn router(self: Arc<Self>) -> Router {
        // For a client's page, which lives on another port: CORS for its origin.
        let for_clients = Router::new()
            .route("/.well-known/openid-configuration", get(discovery::document))
            .route("/jwks", get(discovery::jwks))
            .route("/token", post(token::exchange))
            .route("/userinfo", get(session::userinfo).post(session::userinfo))
            .layer(headers::cors(&self.config.client_origins()));
        // For people: pages only, no other origin may read them.
        let for_people = Router::new()
            .route("/authorize", get(authorize::ask).post(authorize::choose))
            .route("/", get(discovery::home))
            .route("/end-session", get(session::end))
            .route("/style.css", get(discovery::style));
        headers::strict(for_clients.merge(for_people), &self.url).with_state(self)
    }

    /// Adds the next signing key when its time has come.
    ///
    /// # Errors
    /// When the key file cannot be written.
    pub fn rotate_keys(&self) -> Result<()> {
        self.keys.rotate(self.now_s())
    }

    /// `iss` of every token.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on these are the people; tokens that were given before stay as they are.
    pub fn replace_people(&self, people: Vec<DemoPerson>) {
        self.people.store(Arc::new(people));
    }

    /// An access token for a person without anybody signing in.
    ///
    /// # Errors
    /// When signing fails.
    pub fn token(&self, person: &DemoPerson) -> Result<String> {
        cli_token(&self.keys, &self.url, &self.config.audience, person, &*self.clock)
    }

    fn now_s(&self) -> i64 {
        seconds(&*self.clock)
    }

    fn person(&self, subject: &str) -> Option<DemoPerson> {
        self.people.load().iter().find(|person| person.subject == subject).cloned()
    }
}

/// An access token for a demo person, signed without anybody signing in: `caremesh token`.
///
/// # Errors
/// When signing fails.
pub fn cli_token(
    keys: &KeyRing,
    issuer_url: &str,
    audience: &str,
    person: &DemoPerson,
    clock: &dyn Clock,
) -> Result<String> {
    let now_s = seconds(clock);
    let token =
        TokenFor { issuer: issuer_url, audience, client_id: CLI_CLIENT, scope: "openid", person, now_s };
    keys.sign("at+jwt", &AccessClaims::new(&token, CLI_TOKEN_LIFE_S), now_s)
}

/// Whole seconds since the epoch, as JWTs count.
#[must_use]
pub fn seconds(clock: &dyn Clock) -> i64 {
    clock.now().as_micros().div_euclid(1_000_000)
}
