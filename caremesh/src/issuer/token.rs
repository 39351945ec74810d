//! The token endpoint: a code or a refresh token against an access token.
//! Must not know the sign-in page.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::claims::{ACCESS_TOKEN_LIFE_S, AccessClaims, IdClaims, TokenFor, has_scope};
use super::grants::Grant;
use super::{Issuer, secret};

/// RFC 6749, 4.1.3 and 6, with the verifier of RFC 7636.
#[derive(Deserialize)]
pub(super) struct Parameters {
    grant_type: Option<String>,
    client_id: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

/// An error of RFC 6749, 5.2, with a sentence for the client's developer.
struct Refusal(&'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.0, "error_description": self.1 });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}

/// Answers with tokens, or with the reason why not.
pub(super) async fn exchange(
    State(issuer): State<Arc<Issuer>>,
    form: Result<Form<Parameters>, FormRejection>,
) -> Response {
    let Ok(Form(parameters)) = form else {
        return Refusal("invalid_request", "The form is malformed or repeats a parameter.").into_response();
    };
    let grant = match parameters.grant_type.as_deref() {
        Some("authorization_code") => by_code(&issuer, &parameters),
        Some("refresh_token") => by_refresh_token(&issuer, &parameters),
        _ => Err(Refusal("unsupported_grant_type", "Use authorization_code or refresh_token.")),
    };
    match grant.and_then(|grant| tokens(&issuer, &grant)) {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_response(),
    }
}

fn by_code(issuer: &Issuer, parameters: &Parameters) -> Result<Arc<Grant>, Refusal> {
    let code = parameters.code.as_deref().unwrap_or_default();
    let grant = issuer
        .grants
        .redeem_code(code, issuer.now_s())
        .ok_or(Refusal("invalid_grant", "The code is unknown, expired or used already."))?;
    check_owner(&grant, parameters)?;
    if parameters.redirect_uri.as_deref() != Some(&grant.request.redirect_uri) {
        return Err(Refusal("invalid_grant", "redirect_uri is not the one that the code was sent to."));
    }
    let verifier = parameters.code_verifier.as_deref().unwrap_or_default();
    // RFC 7636, 4.1: a verifier is 43 to 128 characters long.
    let fits = (43..=128).contains(&verifier.len());
    if !fits || !secret::verifier_matches(verifier, &grant.request.challenge) {
        return Err(Refusal("invalid_grant", "code_verifier does not belong to the code_challenge."));
    }
    Ok(grant)
}

fn by_refresh_token(issuer: &Issuer, parameters: &Parameters) -> Result<Arc<Grant>, Refusal> {
    let token = parameters.refresh_token.as_deref().unwrap_or_default();
    let grant = issuer
        .grants
        .redeem_refresh(token, issuer.now_s())
        .ok_or(Refusal("invalid_grant", "The refresh token is unknown, expired, used or revoked."))?;
    check_owner(&grant, parameters)?;
    Ok(grant)
}

fn check_owner(grant: &Grant, parameters: &Parameters) -> Result<(), Refusal> {
    if parameters.client_id.as_deref() == Some(&grant.request.client_id) {
        return Ok(());
    }
    // Somebody holds what another client was given.
    grant.revoke();
    Err(Refusal("invalid_grant", "client_id is not the one that was granted this."))
}

fn tokens(issuer: &Issuer, grant: &Arc<Grant>) -> Result<Response, Refusal> {
    let broken = |_| Refusal("server_error", "The tokens cannot be signed.");
    let request = &grant.request;
    let person = issuer
        .person(&grant.session.subject)
        .ok_or(Refusal("invalid_grant", "The person is no longer among the demo people."))?;
    let now_s = issuer.now_s();
    let token = TokenFor {
        issuer: &issuer.url,
        audience: &issuer.config.audience,
        client_id: &request.client_id,
        scope: &request.scope,
        person: &person,
        now_s,
    };
    issuer.rotate_keys().map_err(broken)?;
    let access = AccessClaims::new(&token, ACCESS_TOKEN_LIFE_S);
    let session = &grant.session;
    let id = IdClaims::new(&token, &session.public_id, session.auth_time_s, request.nonce.as_deref());
    let mut answer = json!({
        "access_token": issuer.keys.sign("at+jwt", &access, now_s).map_err(broken)?,
        "id_token": issuer.keys.sign("JWT", &id, now_s).map_err(broken)?,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_LIFE_S,
        "scope": request.scope,
    });
    if has_scope(&request.scope, "offline_access") {
        answer["refresh_token"] = issuer.grants.issue_refresh(Arc::clone(grant), now_s).into();
    }
    Ok(Json(answer).into_response())
}
