//! The way a well-behaved client goes: discovery, sign-in, tokens, userinfo, refresh, sign-out.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, HOST, ORIGIN};
use axum::http::{Request, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::browser::{Browser, CALLBACK, ISSUER, VERIFIER, authorize, claims, form_id};

#[tokio::test]
async fn a_person_signs_in_and_the_tokens_verify_against_the_published_keys() {
    let mut browser = Browser::new();
    let answer = browser.sign_in("ngozi").await;
    assert!(answer.target().as_str().starts_with(CALLBACK));
    assert_eq!(answer.parameter("state").as_deref(), Some("st&te"));
    assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));

    let tokens = browser.redeem(&answer.parameter("code").expect("a code"), VERIFIER).await;
    assert_eq!(tokens.status, StatusCode::OK, "{}", tokens.body);
    let keys: JwkSet = serde_json::from_value(browser.get("/jwks").await.json()).expect("a key set");
    let tokens = tokens.json();
    let access = verified(&keys, tokens["access_token"].as_str().expect("text"), "caremesh");
    let id = verified(&keys, tokens["id_token"].as_str().expect("text"), "caremesh-web");

    assert_eq!(access["sub"], id["sub"]);
    assert_eq!(access["roles"], serde_json::json!(["member"]));
    assert_eq!(access["exp"].as_i64().expect("a number") - access["iat"].as_i64().expect("a number"), 600);
    assert_eq!(id["nonce"], "n0nce");
    assert_eq!(id["name"], "Ngozi Okafor");
    assert!(!access.to_string().contains("Ngozi"), "an access token names nobody: {access}");
}

fn verified(keys: &JwkSet, token: &str, audience: &str) -> Value {
    let header = decode_header(token).expect("a header");
    assert_eq!(header.alg, Algorithm::ES256);
    let key = keys.find(&header.kid.expect("a kid")).expect("a published key");
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[audience]);
    rules.validate_exp = false;
    decode(token, &DecodingKey::from_jwk(key).expect("a key"), &rules).expect("verifies").claims
}

#[tokio::test]
async fn discovery_promises_only_what_is_there() {
    let mut browser = Browser::new();
    let document = browser.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    for (name, url) in document.as_object().expect("an object") {
        let Some(path) = url.as_str().and_then(|url| url.strip_prefix(ISSUER)) else { continue };
        if path.is_empty() {
            continue;
        }
        let (got, posted) = (browser.get(path).await.status, browser.post(path, &[]).await.status);
        let missing = |status| status == StatusCode::NOT_FOUND;
        assert!(!missing(got) && !missing(posted), "{name} promises {path}");
    }
}

#[tokio::test]
async fn userinfo_answers_the_bearer_until_the_token_expires() {
    let mut browser = Browser::new();
    let code = browser.code("priya").await;
    let tokens = browser.redeem(&code, VERIFIER).await.json();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("text"));
    let ask = || Request::get("/userinfo").header(HOST, "localhost:8444").header(AUTHORIZATION, &bearer);

    let answer = browser.send(ask(), Body::empty()).await;
    assert_eq!(answer.json()["name"], "Priya Sharma");
    browser.clock.forward_s(600);
    let late = browser.send(ask(), Body::empty()).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED, "{}", late.body);
}

#[tokio::test]
async fn a_refresh_token_gives_new_tokens_once() {
    let mut browser = Browser::new();
    let code = browser.code("emeka").await;
    let first = browser.redeem(&code, VERIFIER).await.json();
    let refresh = first["refresh_token"].as_str().expect("offline_access was asked for");
    let second = browser.refresh(refresh).await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.body);
    let (old, new) = (claims(first["access_token"].as_str().expect("text")), second.json());
    let new = claims(new["access_token"].as_str().expect("text"));
    assert_eq!(old["sub"], new["sub"]);
    assert_ne!(old["jti"], new["jti"]);
}

#[tokio::test]
async fn a_signed_in_browser_is_answered_without_a_page_until_it_signs_out() {
    let mut browser = Browser::new();
    let silent = authorize(&[("prompt", "none")]);
    assert_eq!(browser.get(&silent).await.parameter("error").as_deref(), Some("login_required"));
    let code = browser.code("ngozi").await;
    let refresh = browser.redeem(&code, VERIFIER).await.json()["refresh_token"].clone();
    assert!(browser.get(&silent).await.parameter("code").is_some());

    let out = "/end-session?client_id=caremesh-web&state=bye&\
               post_logout_redirect_uri=https%3A%2F%2Flocalhost%3A8443%2F";
    assert_eq!(browser.get(out).await.target().as_str(), "https://localhost:8443/?state=bye");
    assert_eq!(browser.get(&silent).await.parameter("error").as_deref(), Some("login_required"));
    let after = browser.refresh(refresh.as_str().expect("text")).await;
    assert_eq!(after.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn the_page_lists_every_demo_person_and_allows_the_client_as_target() {
    let mut browser = Browser::new();
    let page = browser.get(&authorize(&[])).await;
    for person in caremesh::demo::people(&caremesh::demo::PersonIds::default()).expect("people") {
        assert!(page.body.contains(&person.name), "{} is missing", person.name);
    }
    let policy = page.headers.get(CONTENT_SECURITY_POLICY).expect("a policy").to_str().expect("text");
    assert!(policy.contains("form-action 'self' https://localhost:8443;"), "{policy}");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn whoever_opens_the_issuers_address_is_told_who_there_is_and_can_change_nothing() {
    let mut browser = Browser::new();
    let page = browser.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("caremesh token --as ngozi"), "{}", page.body);
    assert!(!page.body.contains("<form"), "{}", page.body);
    let policy = page.headers.get(CONTENT_SECURITY_POLICY).expect("a policy").to_str().expect("text");
    assert!(policy.contains("form-action 'none'"), "{policy}");
}

#[tokio::test]
async fn only_the_clients_own_origin_may_read_the_token_endpoint_from_a_page() {
    let mut browser = Browser::new();
    for (origin, allowed) in [("https://localhost:8443", true), ("https://evil.example", false)] {
        let request = Request::get("/jwks").header(HOST, "localhost:8444").header(ORIGIN, origin);
        let answer = browser.send(request, Body::empty()).await;
        let granted = answer.headers.get("access-control-allow-origin").is_some_and(|it| it == origin);
        assert_eq!(granted, allowed, "{origin}");
    }
}

#[tokio::test]
async fn going_back_without_choosing_tells_the_client() {
    let mut browser = Browser::new();
    let page = browser.get(&authorize(&[])).await;
    let request = form_id(&page.body);
    let answer = browser.post("/authorize", &[("request", &request), ("cancel", "yes")]).await;
    assert_eq!(answer.parameter("error").as_deref(), Some("access_denied"));
}
