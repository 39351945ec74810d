//! A verified token's claims become a person. Must not verify anything: by now the signature is good.

use std::sync::Arc;

use caremesh_kernel::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{config::ClaimNames, token::Fault};
use crate::{policy::Role, principal::Person};

/// A longer name is no issuer's opaque id.
const LONGEST_NAME: usize = 255;

/// A token's claims.
pub(super) type Claims = Map<String, Value>;

/// From when and until when a token is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires: Timestamp,
}

impl Life {
    pub(super) fn of(claims: &Claims) -> Result<Self, Fault> {
        let expires = instant(claims, "exp")?.ok_or(Fault::Expired)?;
        Ok(Self { not_before: instant(claims, "nbf")?, expires })
    }

    /// Whether the token is good now, give or take `leeway_ms`. The instant of expiry is too late.
    pub(super) fn check(self, now: Timestamp, leeway_ms: i64) -> Result<(), Fault> {
        if now >= self.expires.plus_ms(leeway_ms) {
            return Err(Fault::Expired);
        }
        match self.not_before {
            Some(from) if now < from.plus_ms(-leeway_ms) => Err(Fault::NotYet),
            _ => Ok(()),
        }
    }
}

/// `NumericDate` in whole seconds; one that is there and is no such number is a fault.
fn instant(claims: &Claims, name: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().ok_or(Fault::Malformed)?;
    let micros = seconds.checked_mul(1_000_000).ok_or(Fault::Malformed)?;
    Ok(Some(Timestamp::from_micros(micros)))
}

pub(super) fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), Fault> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|aud| accepted.iter().any(|ours| ours == aud));
    let found = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if found { Ok(()) } else { Err(Fault::Audience) }
}

/// The person of `issuer` that the claims describe; `token` goes with it, for the next hop.
pub(super) fn person(
    issuer: &Arc<str>,
    claims: &Claims,
    names: &ClaimNames,
    token: &str,
) -> Result<Person, Fault> {
    let person_id = match text(claims, &names.person_id)? {
        Some(id) => Some(id.parse().map_err(|_| Fault::Malformed)?),
        None => None,
    };
    Ok(Person {
        issuer: Arc::clone(issuer),
        subject: text(claims, "sub")?.ok_or(Fault::Malformed)?.to_owned(),
        person_id,
        roles: roles(at(claims, &names.roles)),
        organisation: text(claims, &names.organisation)?.map(str::to_owned),
        token: Some(Arc::new(SecretString::from(token))),
    })
}

fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, Fault> {
    match at(claims, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= LONGEST_NAME => Ok(Some(text)),
        Some(_) => Err(Fault::Malformed),
    }
}

/// The claim at `path`: whole names first, because some issuers put dots and URLs into names.
fn at<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// Roles that the contract knows; others are some other application's.
fn roles(value: Option<&Value>) -> Vec<Role> {
    match value {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).filter_map(role).collect(),
        Some(Value::String(names)) => names.split(' ').filter_map(role).collect(),
        _ => Vec::new(),
    }
}

fn role(name: &str) -> Option<Role> {
    let full = format!("ROLE_{}", name.to_ascii_uppercase());
    Role::from_str_name(&full).filter(|role| *role != Role::Unspecified)
}
