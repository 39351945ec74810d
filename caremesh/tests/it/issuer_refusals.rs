//! What an attacker or a careless client tries, and the issuer must refuse.

use axum::body::Body;
use axum::http::header::{HOST, LOCATION};
use axum::http::{Request, StatusCode};

use crate::browser::{Browser, CALLBACK, CHALLENGE, VERIFIER, authorize, form_id};

#[tokio::test]
async fn a_replayed_code_is_refused_and_takes_the_first_tokens_refresh_with_it() {
    let mut browser = Browser::new();
    let code = browser.code("ngozi").await;
    let first = browser.redeem(&code, VERIFIER).await.json();
    let replay = browser.redeem(&code, VERIFIER).await;
    assert_eq!(replay.status, StatusCode::BAD_REQUEST);
    assert_eq!(replay.json()["error"], "invalid_grant");
    let refresh = browser.refresh(first["refresh_token"].as_str().expect("text")).await;
    assert_eq!(refresh.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_is_refused_and_burns_the_code() {
    for wrong in ["", CHALLENGE, "a-verifier-of-the-right-length-but-of-another-client"] {
        let mut browser = Browser::new();
        let code = browser.code("ngozi").await;
        let answer = browser.redeem(&code, wrong).await;
        assert_eq!(answer.json()["error"], "invalid_grant", "{wrong}");
        assert_eq!(browser.redeem(&code, VERIFIER).await.json()["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn a_late_code_is_refused() {
    let mut browser = Browser::new();
    let code = browser.code("ngozi").await;
    browser.clock.forward_s(60);
    assert_eq!(browser.redeem(&code, VERIFIER).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_redirect_to_anywhere_else_is_refused_without_redirecting() {
    let mut browser = Browser::new();
    let elsewhere = [
        "https://evil.example/auth/callback",
        "https://localhost:8443/auth/callback/",
        "https://localhost:8443/auth/callback?next=https://evil.example",
        "https://localhost:8443@evil.example/auth/callback",
        "HTTPS://localhost:8443/auth/callback",
        "https://localhost:8443/auth/../auth/callback",
        "//evil.example",
        "",
    ];
    for uri in elsewhere {
        let answer = browser.get(&authorize(&[("redirect_uri", uri)])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
        assert!(!answer.headers.contains_key(LOCATION), "{uri} was redirected to");
    }
}

#[tokio::test]
async fn signing_out_sends_nobody_to_a_place_that_is_not_registered() {
    let mut browser = Browser::new();
    let path = "/end-session?client_id=caremesh-web&post_logout_redirect_uri=https%3A%2F%2Fevil.example";
    let answer = browser.get(path).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.headers.contains_key(LOCATION));
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_to_the_client_with_its_state() {
    let broken = [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", VERIFIER.split_at(10).0), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("request", "eyJ"), "request_not_supported"),
    ];
    let mut browser = Browser::new();
    for (change, error) in broken {
        let answer = browser.get(&authorize(&[change])).await;
        assert!(answer.target().as_str().starts_with(CALLBACK));
        assert_eq!(answer.parameter("error").as_deref(), Some(error), "{change:?}");
        assert_eq!(answer.parameter("state").as_deref(), Some("st&te"));
        assert_eq!(answer.parameter("code"), None);
    }
}

#[tokio::test]
async fn a_repeated_parameter_and_an_unknown_client_are_refused_on_a_page() {
    let mut browser = Browser::new();
    let twice = format!("{}&client_id=caremesh-web", authorize(&[]));
    for path in [twice, authorize(&[("client_id", "other")])] {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(!answer.headers.contains_key(LOCATION));
    }
}

#[tokio::test]
async fn a_form_from_another_browser_is_refused() {
    let mut browser = Browser::new();
    let page = browser.get(&authorize(&[])).await;
    browser.forget_cookies();
    let request = form_id(&page.body);
    let answer = browser.post("/authorize", &[("request", &request), ("person", "ngozi")]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_form_that_waited_too_long_or_names_nobody_is_refused() {
    let mut browser = Browser::new();
    let page = browser.get(&authorize(&[])).await;
    let request = form_id(&page.body);
    browser.clock.forward_s(600);
    let late = browser.post("/authorize", &[("request", &request), ("person", "ngozi")]).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.sign_in("root").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_code_of_another_client_or_another_redirect_uri_is_refused() {
    for change in [("client_id", "other"), ("redirect_uri", "https://localhost:8443/other")] {
        let mut browser = Browser::new();
        let code = browser.code("ngozi").await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "caremesh-web"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(name, _)| *name != change.0);
        form.push(change);
        let answer = browser.post("/token", &form).await;
        assert_eq!(answer.json()["error"], "invalid_grant", "{change:?}");
    }
}

#[tokio::test]
async fn another_host_name_is_refused() {
    let mut browser = Browser::new();
    let request = Request::get("/.well-known/openid-configuration").header(HOST, "rebound.example:8444");
    assert_eq!(browser.send(request, Body::empty()).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn an_oversized_form_is_refused() {
    let mut browser = Browser::new();
    let long = "x".repeat(20_000);
    let answer = browser.post("/token", &[("grant_type", &long)]).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
}

#[tokio::test]
async fn every_answer_carries_the_strict_headers() {
    let mut browser = Browser::new();
    for path in
        [authorize(&[]), "/jwks".to_owned(), "/nothing-here".to_owned(), authorize(&[("client_id", "x")])]
    {
        let headers = browser.get(&path).await.headers;
        for name in
            ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy"]
        {
            assert!(headers.contains_key(name), "{path} lacks {name}");
        }
    }
}
