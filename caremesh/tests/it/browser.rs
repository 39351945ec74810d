//! A browser and a client in one: keeps cookies, follows the sign-in, exchanges codes.
//! Talks to the issuer's router as hyper would; TLS is the listener's business.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caremesh::demo;
use caremesh::issuer::{Issuer, IssuerConfig, KeyRing};
use caremesh_kernel::{Clock, Timestamp};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

pub(crate) const ISSUER: &str = "https://localhost:8444";
pub(crate) const CALLBACK: &str = "https://localhost:8443/auth/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A clock that moves by hand.
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn forward_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Browser {
    router: Router,
    cookies: HashMap<String, String>,
    pub(crate) clock: Arc<Hand>,
    _keys: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// Where the answer sends the browser.
    pub(crate) fn target(&self) -> Url {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "no redirect: {}", self.body);
        let location = self.headers.get(LOCATION).expect("a location").to_str().expect("text");
        Url::parse(location).expect("an absolute URL")
    }

    /// A parameter of the place the answer sends the browser to.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.target().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

impl Browser {
    pub(crate) fn new() -> Self {
        let keys = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Hand(AtomicI64::new(1_790_000_000_000_000)));
        let ring = KeyRing::open_or_create(&keys.path().join("keys.json"), 1_790_000_000).expect("keys");
        let people = demo::people(&demo::PersonIds::default()).expect("people");
        let issuer = Issuer::new(IssuerConfig::default(), ISSUER.to_owned(), ring, people, clock.clone());
        let router = Arc::new(issuer.expect("an issuer")).router();
        Self { router, cookies: HashMap::new(), clock, _keys: keys }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).header(HOST, "localhost:8444"), Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path)
            .header(HOST, "localhost:8444")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(body)).await
    }

    pub(crate) async fn send(&mut self, request: http::request::Builder, body: Body) -> Answer {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(COOKIE, jar.join("; ")).body(body).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        self.keep_cookies(&parts.headers);
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().expect("text");
            for rule in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(line.contains(rule), "a cookie without {rule}: {line}");
            }
            let (name, rest) = line.split_once('=').expect("name=value");
            let value = rest.split(';').next().expect("a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Signs a person in and gives the answer that carries the code.
    pub(crate) async fn sign_in(&mut self, handle: &str) -> Answer {
        let page = self.get(&authorize(&[])).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let request = form_id(&page.body);
        self.post("/authorize", &[("request", &request), ("person", handle)]).await
    }

    pub(crate) async fn code(&mut self, handle: &str) -> String {
        self.sign_in(handle).await.parameter("code").expect("a code")
    }

    pub(crate) async fn redeem(&mut self, code: &str, verifier: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "caremesh-web"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        self.post("/token", &form).await
    }

    pub(crate) async fn refresh(&mut self, token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("client_id", "caremesh-web"), ("refresh_token", token)];
        self.post("/token", &form).await
    }
}

/// The path of an authorization request that is right but for the given parameters; an empty value
/// leaves the parameter out.
pub(crate) fn authorize(changes: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("client_id", "caremesh-web"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile offline_access"),
        ("state", "st&te"),
        ("nonce", "n0nce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for change in changes {
        parameters.retain(|(name, _)| *name != change.0);
        if !change.1.is_empty() {
            parameters.push(*change);
        }
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/authorize?{query}")
}

/// The hidden field of the sign-in form.
pub(crate) fn form_id(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"request\" value=\"").expect("the hidden field");
    rest.split('"').next().expect("a value").to_owned()
}

/// The claims of a token, not verified.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}
