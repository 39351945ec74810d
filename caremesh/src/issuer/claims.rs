//! What the demo issuer says of a person: claims of access tokens (RFC 9068) and of ID tokens.
//! Must not know HTTP, nor how keys are kept.

use serde::Serialize;

use crate::demo::DemoPerson;

/// How long an access token from a sign-in is good, seconds.
pub(super) const ACCESS_TOKEN_LIFE_S: i64 = 600;
/// How long a token from `caremesh token` is good, seconds: long enough for an hour at a terminal.
pub(super) const CLI_TOKEN_LIFE_S: i64 = 3600;
/// How long an ID token is good, seconds: it is read once, at sign-in.
const ID_TOKEN_LIFE_S: i64 = 300;
/// The `client_id` of tokens that `caremesh token` makes.
pub(super) const CLI_CLIENT: &str = "caremesh-cli";

/// Claims of an access token. Opaque ids and roles only: nothing in it names the person.
#[derive(Serialize)]
pub(super) struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    client_id: &'a str,
    scope: &'a str,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    person_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<&'a str>,
}

impl<'a> AccessClaims<'a> {
    /// Claims for a person, from now for `life_s` seconds.
    #[must_use]
    pub(super) fn new(token: &TokenFor<'a>, life_s: i64) -> Self {
        Self {
            iss: token.issuer,
            sub: &token.person.subject,
            aud: token.audience,
            exp: token.now_s + life_s,
            iat: token.now_s,
            jti: super::secret::random_text(),
            client_id: token.client_id,
            scope: token.scope,
            roles: &token.person.roles,
            person_id: token.person.person_id.as_deref(),
            organisation: token.person.organisation.as_deref(),
        }
    }
}

/// Claims of an ID token: who signed in, for the client that asked.
#[derive(Serialize)]
pub(super) struct IdClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> IdClaims<'a> {
    /// Claims for the client that asked; the name only when the scope asks for the profile.
    #[must_use]
    pub(super) fn new(
        token: &TokenFor<'a>,
        session: &'a str,
        auth_time_s: i64,
        nonce: Option<&'a str>,
    ) -> Self {
        Self {
            iss: token.issuer,
            sub: &token.person.subject,
            aud: token.client_id,
            exp: token.now_s + ID_TOKEN_LIFE_S,
            iat: token.now_s,
            auth_time: auth_time_s,
            sid: session,
            nonce,
            name: has_scope(token.scope, "profile").then_some(token.person.name.as_str()),
        }
    }
}

/// Whom a token is for and who asked for it.
pub(super) struct TokenFor<'a> {
    /// The issuer's URL, as in its discovery document.
    pub(super) issuer: &'a str,
    /// What the access token is for: the audience every hop of the mesh expects.
    pub(super) audience: &'a str,
    /// The client that asked.
    pub(super) client_id: &'a str,
    /// The scopes that were granted, separated by blanks.
    pub(super) scope: &'a str,
    /// The person.
    pub(super) person: &'a DemoPerson,
    /// Seconds since the epoch.
    pub(super) now_s: i64,
}

/// Whether a list of scopes holds one of that name.
#[must_use]
pub(super) fn has_scope(scope: &str, name: &str) -> bool {
    scope.split_ascii_whitespace().any(|granted| granted == name)
}
