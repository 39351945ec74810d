//! Who makes a call, from its token and its connection. Both are looked at on every call; neither is
//! ever taken from anything the caller merely says.

use std::sync::Arc;

use caremesh_kernel::Clock;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, header};

use super::{
    IdentityConfig, IdentityError,
    token::{Fault, Tokens},
};
use crate::{
    principal::{Authenticator, Credentials, Principal},
    reason::CommonReason,
    refusal::Refusal,
    tls::Peer,
};

/// Verifies callers. A cheap clone; clones share key sets and remembered tokens.
#[derive(Debug, Clone)]
pub struct Identity {
    tokens: Arc<Tokens>,
}

impl Identity {
    /// Believes the issuers of `config`. Their keys are fetched when the first token comes.
    ///
    /// # Errors
    /// Names the issuer and the rule that its settings break.
    pub fn new(config: &IdentityConfig, clock: Arc<dyn Clock>) -> Result<Self, IdentityError> {
        Ok(Self { tokens: Arc::new(Tokens::new(config, clock)?) })
    }

    /// The caller of a request with these headers that came from `workload`'s connection.
    ///
    /// # Errors
    /// `CREDENTIALS_INVALID` for a token that is not good, whatever is wrong with it;
    /// `DEPENDENCY_DOWN` when its issuer's keys cannot be had.
    pub async fn caller(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Principal, Refusal> {
        let Some(token) = bearer(headers).map_err(refused)? else {
            return Ok(through(Principal::anonymous(), peer));
        };
        let person = match self.tokens.remembered(token) {
            Some(person) => person,
            None => self.tokens.verify(token).await.map_err(refused)?,
        };
        Ok(through(person, peer))
    }
}

impl Authenticator for Identity {
    fn known(&self, Credentials { headers, peer }: Credentials<'_>) -> Option<Principal> {
        match bearer(headers).ok()? {
            Some(token) => self.tokens.remembered(token).map(|person| through(person, peer)),
            None => Some(through(Principal::anonymous(), peer)),
        }
    }

    fn authenticate<'a>(
        &'a self,
        Credentials { headers, peer }: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        self.caller(headers, peer).boxed()
    }
}

fn through(principal: Principal, peer: Option<&Peer>) -> Principal {
    match peer.and_then(Peer::workload) {
        Some(workload) => principal.through(workload.clone()),
        None => principal,
    }
}

/// The bearer token of the headers (RFC 6750). Another scheme, or two, is a fault and not "none":
/// who shows credentials is not treated as somebody without.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::Malformed);
    }
    let text = value.to_str().map_err(|_| Fault::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Fault::Malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Fault::Malformed);
    }
    Ok(Some(token))
}

/// The caller learns only that it was not accepted: more would tell a forger what to mend.
fn refused(fault: Fault) -> Refusal {
    tracing::info!(token.fault = fault.name(), "a token was refused");
    metrics::counter!("caremesh_token_refused_total", "fault" => fault.name()).increment(1);
    match fault {
        Fault::Unverifiable => Refusal::new(CommonReason::DependencyDown),
        _ => Refusal::new(CommonReason::CredentialsInvalid),
    }
}
