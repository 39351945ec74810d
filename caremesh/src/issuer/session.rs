//! What happens after sign-in: who is this (userinfo), and sign me out (RP-initiated logout).
//! Must not know how a person signed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::claims::has_scope;
use super::{Issuer, headers, page};

/// The cookie of a signed-in browser.
pub(super) const COOKIE: &str = "__Host-caremesh-session";

#[derive(Deserialize)]
struct Bearer {
    sub: String,
    scope: String,
    exp: i64,
}

/// OpenID Connect RP-Initiated Logout 1.0, section 2.
#[derive(Deserialize)]
pub(super) struct EndParameters {
    client_id: Option<String>,
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
}

/// Who the bearer of the access token is.
pub(super) async fn userinfo(State(issuer): State<Arc<Issuer>>, headers: HeaderMap) -> Response {
    let bearer = bearer(&issuer, &headers);
    let Some((bearer, person)) = bearer.and_then(|bearer| {
        let person = issuer.person(&bearer.sub)?;
        Some((bearer, person))
    }) else {
        let challenge = [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    };
    let mut answer = json!({ "sub": person.subject, "roles": person.roles });
    if has_scope(&bearer.scope, "profile") {
        answer["name"] = person.name.clone().into();
    }
    Json(answer).into_response()
}

/// Ends the session of this browser. Goes on only to a place on the client's list.
pub(super) async fn end(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    Query(parameters): Query<EndParameters>,
) -> Response {
    if let Some(cookie) = headers::cookie(&headers, COOKIE) {
        issuer.grants.end_session(cookie);
    }
    let gone = [(SET_COOKIE, headers::set_cookie(COOKIE, "", 0))];
    match next_place(&issuer, &parameters) {
        Some(url) => (StatusCode::SEE_OTHER, gone, [(LOCATION, url)]).into_response(),
        None => (gone, Html(page::signed_out())).into_response(),
    }
}

fn next_place(issuer: &Issuer, parameters: &EndParameters) -> Option<String> {
    let client = issuer.config.client(parameters.client_id.as_deref()?)?;
    let asked = parameters.post_logout_redirect_uri.as_deref()?;
    let registered = client.post_logout_redirect_uris.iter().find(|uri| *uri == asked)?;
    let mut url = Url::parse(registered).ok()?;
    if let Some(state) = &parameters.state {
        url.query_pairs_mut().append_pair("state", state);
    }
    Some(url.to_string())
}

fn bearer(issuer: &Issuer, headers: &HeaderMap) -> Option<Bearer> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let header = decode_header(token).ok()?;
    let keys = issuer.keys.public_set();
    let key = DecodingKey::from_jwk(keys.find(header.kid.as_deref()?)?).ok()?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_issuer(&[&issuer.url]);
    rules.set_audience(&[&issuer.config.audience]);
    // Expiry is checked below, by the issuer's clock and half-open.
    rules.validate_exp = false;
    let bearer = decode::<Bearer>(token, &key, &rules).ok()?.claims;
    (issuer.now_s() < bearer.exp).then_some(bearer)
}
