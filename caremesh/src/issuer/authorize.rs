//! The authorization endpoint: checks a client's request, shows the people, and answers with a code.
//! Must not know how tokens are made.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use super::claims::has_scope;
use super::config::{Client, origin_of};
use super::grants::{REQUEST_LIFE_S, Request, SESSION_LIFE_S, Session};
use super::{Issuer, headers, page, secret, session};

/// The cookie that ties a form to the browser it was shown in, so that no other site can post it.
const FORM_COOKIE: &str = "__Host-caremesh-form";

/// OpenID Connect Core 3.1.2.1. Unknown parameters are ignored, repeated ones refused (RFC 6749, 3.1).
#[derive(Deserialize)]
pub(super) struct Parameters {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    response_mode: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    prompt: Option<String>,
    request: Option<String>,
    request_uri: Option<String>,
}

/// What the sign-in form posts.
#[derive(Deserialize)]
pub(super) struct Choice {
    request: String,
    person: Option<String>,
    cancel: Option<String>,
}

/// An error that goes back to the client by redirect (RFC 6749, 4.1.2.1).
struct Refusal {
    error: &'static str,
    description: &'static str,
}

/// Shows the people, or answers at once for `prompt=none`.
pub(super) async fn ask(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    query: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let Ok(Query(parameters)) = query else {
        return problem("The application's request cannot be read: a parameter is repeated or malformed.");
    };
    let (client, redirect_uri) = match known_target(&issuer, &parameters) {
        Ok(target) => target,
        // Never a redirect to a place that is not on the client's list.
        Err(sentence) => return problem(sentence),
    };
    let request = match check(&parameters, client, redirect_uri) {
        Ok(request) => request,
        Err(refusal) => return refuse(&issuer, redirect_uri, parameters.state.as_deref(), &refusal),
    };
    match parameters.prompt.as_deref() {
        Some("none") => answer_silently(&issuer, &headers, request),
        _ => show_people(&issuer, client, request),
    }
}

/// Signs the chosen person in and sends the code.
pub(super) async fn choose(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    form: Result<Form<Choice>, FormRejection>,
) -> Response {
    let Ok(Form(choice)) = form else {
        return problem("The form cannot be read.");
    };
    let ours = headers::cookie(&headers, FORM_COOKIE).is_some_and(|id| secret::same(id, &choice.request));
    if !ours {
        return problem("This form was not opened in this browser.");
    }
    let Some(request) = issuer.grants.take_request(&choice.request, issuer.now_s()) else {
        return problem("This sign-in was used already or has waited for more than ten minutes.");
    };
    if choice.cancel.is_some() {
        return refuse(&issuer, &request.redirect_uri, request.state.as_deref(), &CANCELLED);
    }
    let chosen = choice.person.as_deref().unwrap_or_default();
    let people = issuer.people.load();
    let Some(person) = people.iter().find(|person| person.handle == chosen) else {
        return problem("There is no such demo person.");
    };
    let (session, cookie) = issuer.grants.open_session(&person.subject, issuer.now_s());
    let set = headers::set_cookie(session::COOKIE, &cookie, SESSION_LIFE_S);
    ([(SET_COOKIE, set)], send_code(&issuer, request, session)).into_response()
}

const CANCELLED: Refusal =
    Refusal { error: "access_denied", description: "The person went back without choosing." };

/// The client and the redirect URI when both are known, exactly as registered.
fn known_target<'a>(
    issuer: &'a Issuer,
    parameters: &'a Parameters,
) -> Result<(&'a Client, &'a str), &'static str> {
    let client_id = parameters.client_id.as_deref().unwrap_or_default();
    let client =
        issuer.config.client(client_id).ok_or("No application is registered under this client_id.")?;
    let asked = parameters.redirect_uri.as_deref().unwrap_or_default();
    let registered = client.redirect_uris.iter().find(|uri| *uri == asked);
    let redirect_uri = registered.ok_or("The redirect_uri is not one that this application registered.")?;
    Ok((client, redirect_uri))
}

fn check(parameters: &Parameters, client: &Client, redirect_uri: &str) -> Result<Request, Refusal> {
    let invalid = |description| Refusal { error: "invalid_request", description };
    if parameters.request.is_some() || parameters.request_uri.is_some() {
        return Err(Refusal {
            error: "request_not_supported",
            description: "Request objects are not taken.",
        });
    }
    if parameters.response_type.as_deref() != Some("code") {
        let description = "response_type must be code.";
        return Err(Refusal { error: "unsupported_response_type", description });
    }
    if !matches!(parameters.response_mode.as_deref(), None | Some("query")) {
        return Err(invalid("response_mode must be query."));
    }
    let scope = parameters.scope.as_deref().unwrap_or_default();
    if !has_scope(scope, "openid") {
        return Err(Refusal { error: "invalid_scope", description: "scope must contain openid." });
    }
    if parameters.code_challenge_method.as_deref() != Some("S256") {
        return Err(invalid("code_challenge_method must be S256."));
    }
    let challenge = parameters.code_challenge.as_deref().unwrap_or_default();
    if challenge.len() != 43 || !challenge.bytes().all(is_base64url) {
        return Err(invalid("code_challenge must be 43 characters of base64url."));
    }
    Ok(Request {
        client_id: client.client_id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: granted_scope(scope),
        state: parameters.state.clone(),
        nonce: parameters.nonce.clone(),
        challenge: challenge.to_owned(),
    })
}

/// The scopes that mean something here; others are left out (OpenID Connect Core 3.1.2.1).
fn granted_scope(asked: &str) -> String {
    let known = ["openid", "profile", "offline_access"];
    let granted: Vec<&str> = known.into_iter().filter(|name| has_scope(asked, name)).collect();
    granted.join(" ")
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn answer_silently(issuer: &Issuer, headers: &HeaderMap, request: Request) -> Response {
    let cookie = headers::cookie(headers, session::COOKIE).unwrap_or_default();
    match issuer.grants.session(cookie, issuer.now_s()) {
        Some(session) => send_code(issuer, request, session),
        None => {
            let refusal = Refusal { error: "login_required", description: "Nobody is signed in." };
            refuse(issuer, &request.redirect_uri, request.state.as_deref(), &refusal)
        }
    }
}

fn show_people(issuer: &Issuer, client: &Client, request: Request) -> Response {
    // Browsers apply form-action to the redirect that follows the form, so the client's origin is named.
    let target = origin_of(&request.redirect_uri).unwrap_or_default();
    let policy = headers::page_policy(&target);
    let id = issuer.grants.hold_request(request, issuer.now_s());
    let html = page::sign_in(&client.name, &id, &issuer.people.load());
    let cookie = headers::set_cookie(FORM_COOKIE, &id, REQUEST_LIFE_S);
    ([(CONTENT_SECURITY_POLICY, policy), (SET_COOKIE, cookie)], Html(html)).into_response()
}

fn send_code(issuer: &Issuer, request: Request, session: Arc<Session>) -> Response {
    let (target, state) = (request.redirect_uri.clone(), request.state.clone());
    let code = issuer.grants.issue_code(request, session, issuer.now_s());
    redirect(issuer, &target, state.as_deref(), &[("code", &code)])
}

fn refuse(issuer: &Issuer, target: &str, state: Option<&str>, refusal: &Refusal) -> Response {
    let answer = [("error", refusal.error), ("error_description", refusal.description)];
    redirect(issuer, target, state, &answer)
}

/// Answers a client. `iss` tells it who answers (RFC 9207).
fn redirect(issuer: &Issuer, target: &str, state: Option<&str>, answer: &[(&str, &str)]) -> Response {
    let Ok(mut url) = Url::parse(target) else {
        return problem("The redirect_uri cannot be read.");
    };
    url.query_pairs_mut().extend_pairs(answer).append_pair("iss", &issuer.url);
    if let Some(state) = state {
        url.query_pairs_mut().append_pair("state", state);
    }
    // 303: the browser follows with GET, so that the form's body is not posted on.
    (StatusCode::SEE_OTHER, [(LOCATION, url.to_string())]).into_response()
}

fn problem(sentence: &str) -> Response {
    (StatusCode::BAD_REQUEST, Html(page::problem(sentence))).into_response()
}
