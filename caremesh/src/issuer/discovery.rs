//! What anybody may read without signing in: the discovery document, the public keys, who there is, the style
//! sheet. Must not know grants.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};

use super::{Issuer, page};

/// OpenID Connect Discovery 1.0, section 3. It promises what the code does and nothing more.
pub(super) async fn document(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    let url = &issuer.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "end_session_endpoint": format!("{url}/end-session"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "name"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

/// The public keys. Kept by readers for less than a new key is published ahead.
pub(super) async fn jwks(State(issuer): State<Arc<Issuer>>) -> impl IntoResponse {
    let keys: JwkSet = issuer.keys.public_set();
    ([(CACHE_CONTROL, "public, max-age=300")], Json(keys))
}

/// Who can sign in, for a person who opens the issuer's address in a browser.
pub(super) async fn home(State(issuer): State<Arc<Issuer>>) -> Html<String> {
    Html(page::who_there_is(&issuer.people.load()))
}

/// The style sheet of the pages.
pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)
}
