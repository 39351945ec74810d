//! Headers of the issuer: what browsers may do with its pages, who may call it, and its cookies.
//! Must not know what the pages say.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;

use super::Issuer;
use std::sync::Arc;

/// The largest form: a few parameters.
const LARGEST_BODY_BYTES: usize = 16 * 1024;

/// What no page of the issuer needs: everything but its own style sheet.
const LOCKED_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'none'; \
                             frame-ancestors 'none'; base-uri 'none'";

/// The content security policy of the sign-in page: it may post to itself and be sent on to the client.
pub(super) fn page_policy(client_origin: &str) -> String {
    LOCKED_POLICY.replace("form-action 'none'", &format!("form-action 'self' {client_origin}"))
}

/// CORS for the endpoints that a client's page calls. Without credentials: no cookie counts there.
pub(super) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

/// Puts the strict headers on every answer, limits bodies and refuses other host names.
pub(super) fn strict(router: Router<Arc<Issuer>>, url: &str) -> Router<Arc<Issuer>> {
    let host = url.trim_start_matches("https://").to_owned();
    router.layer(RequestBodyLimitLayer::new(LARGEST_BODY_BYTES)).layer(from_fn_with_state(host, guard))
}

/// The host name is checked because a page of another site can point its own name at 127.0.0.1.
async fn guard(State(host): State<String>, request: Request, next: Next) -> Response {
    let asked = request.uri().authority().map(|authority| authority.as_str());
    let asked = asked.or_else(|| request.headers().get(HOST)?.to_str().ok());
    let mut response = if asked == Some(host.as_str()) {
        next.run(request).await
    } else {
        StatusCode::MISDIRECTED_REQUEST.into_response()
    };
    add_missing(response.headers_mut());
    response
}

// No Strict-Transport-Security: browsers apply it to every port of `localhost`, and so would break
// other programs of the person who only tries the demo.
const STRICT: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, LOCKED_POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

fn add_missing(headers: &mut HeaderMap) {
    for (name, value) in STRICT {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A cookie that only this origin gets back, over TLS, and that no script can read.
pub(super) fn set_cookie(name: &str, value: &str, max_age_s: i64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_s}")
}
