//! Verifies tokens, and remembers those that were good until they expire or their issuer's keys
//! change. A token is remembered by its hash; the text is kept only where it goes on to the next hop.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use caremesh_kernel::Clock;
use jsonwebtoken::{Algorithm, Validation};
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{
    claims::{self, Claims, Life},
    config::{ClaimNames, IdentityConfig, IdentityError, IssuerConfig},
    keys::{KeySet, NoKey},
};
use crate::principal::Principal;

/// Headers carry 16 KiB in all; a token that needs more than half of that does not belong there.
const LONGEST_TOKEN: usize = 8 * 1024;
/// No token is remembered longer, so that memory follows the callers of the day.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);
/// Tokens that are at hand: whoever calls, calls again at once.
const AT_HAND: usize = 256;
/// So much of a token's end tells it from others well enough: it is part of the signature.
const TAIL: usize = 32;

/// Why a token is refused. For logs and metrics: the caller is told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed,
    Algorithm,
    Issuer,
    UnknownKey,
    Signature,
    Audience,
    Expired,
    NotYet,
    /// Not the token's fault: the issuer's keys cannot be had.
    Unverifiable,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Unverifiable => "unverifiable",
        }
    }
}

/// Verifies the tokens of all issuers.
pub(super) struct Tokens {
    issuers: Vec<Issuer>,
    leeway_ms: i64,
    clock: Arc<dyn Clock>,
    remembered: Cache<[u8; 32], Arc<Verified>>,
    at_hand: AtHand,
}

/// The tokens seen last, each in the one place that its end gives it. The look-up among all that are remembered costs
/// a digest of the whole text; here the text itself is compared.
struct AtHand {
    places: Box<[ArcSwapOption<Verified>]>,
    /// Keyed, so that nobody can choose a token that drives out a certain other.
    hasher: RandomState,
}

impl AtHand {
    fn new() -> Self {
        let places = (0..AT_HAND).map(|_| ArcSwapOption::empty()).collect();
        Self { places, hasher: RandomState::new() }
    }

    fn place(&self, token: &str) -> Option<&ArcSwapOption<Verified>> {
        let text = token.as_bytes();
        let tail = self.hasher.hash_one(&text[text.len().saturating_sub(TAIL)..]);
        self.places.get(usize::try_from(tail).unwrap_or(0) % AT_HAND)
    }

    fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let verified = self.place(token)?.load_full()?;
        verified.is(token).then_some(verified)
    }

    fn put(&self, token: &str, verified: Arc<Verified>) {
        if let Some(place) = self.place(token) {
            place.store(Some(verified));
        }
    }
}

struct Issuer {
    name: Arc<str>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    claims: ClaimNames,
    keys: Arc<KeySet>,
}

/// A token that was good when it was looked at.
struct Verified {
    principal: Principal,
    life: Life,
    issuer: usize,
    /// Of the key set that verified it. Another generation may have revoked the key.
    generation: u64,
}

impl Verified {
    fn is(&self, token: &str) -> bool {
        let person = self.principal.person();
        person.and_then(|it| it.token.as_ref()).is_some_and(|it| it.expose_secret() == token)
    }
}

impl Tokens {
    pub(super) fn new(config: &IdentityConfig, clock: Arc<dyn Clock>) -> Result<Self, IdentityError> {
        config.check()?;
        Ok(Self {
            issuers: config.issuers.iter().map(Issuer::new).collect::<Result<_, _>>()?,
            leeway_ms: i64::from(config.leeway_seconds) * 1_000,
            clock,
            remembered: Cache::builder()
                .max_capacity(config.remembered_tokens)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            at_hand: AtHand::new(),
        })
    }

    /// The person whose token this is, if it was verified before and is still good.
    pub(super) fn remembered(&self, token: &str) -> Option<Principal> {
        let verified = match self.at_hand.get(token) {
            Some(verified) => verified,
            None => {
                let verified = self.remembered.get(&hash(token))?;
                self.at_hand.put(token, verified.clone());
                verified
            }
        };
        let current = self.issuers.get(verified.issuer)?.keys.generation()?;
        verified.life.check(self.clock.now(), self.leeway_ms).ok()?;
        (current == verified.generation).then(|| verified.principal.clone())
    }

    /// The person whose token this is.
    pub(super) async fn verify(&self, token: &str) -> Result<Principal, Fault> {
        if token.len() > LONGEST_TOKEN {
            return Err(Fault::Malformed);
        }
        let verified = self.verify_anew(token).await?;
        let principal = verified.principal.clone();
        self.remembered.insert(hash(token), Arc::new(verified));
        Ok(principal)
    }

    async fn verify_anew(&self, token: &str) -> Result<Verified, Fault> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Fault::Malformed)?;
        let (index, issuer) = self.issuer_named_in(token)?;
        // A critical extension that we do not know must be refused (RFC 7515, 4.1.11); we know none.
        if header.crit.is_some() {
            return Err(Fault::Malformed);
        }
        if !issuer.algorithms.contains(&header.alg) {
            return Err(Fault::Algorithm);
        }
        let (claims, generation) = issuer.verify(token, header.alg, header.kid.as_deref()).await?;
        let life = Life::of(&claims)?;
        life.check(self.clock.now(), self.leeway_ms)?;
        claims::check_audience(&claims, &issuer.audiences)?;
        let person = claims::person(&issuer.name, &claims, &issuer.claims, token)?;
        Ok(Verified { principal: Principal::of_person(person), life, issuer: index, generation })
    }

    /// Reads `iss` before anything is verified, only to know whose keys to try.
    fn issuer_named_in(&self, token: &str) -> Result<(usize, &Issuer), Fault> {
        let claims: Claims =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Fault::Malformed)?;
        let name = claims.get("iss").and_then(Value::as_str).ok_or(Fault::Issuer)?;
        self.issuers.iter().enumerate().find(|(_, issuer)| *issuer.name == *name).ok_or(Fault::Issuer)
    }
}

impl Issuer {
    fn new(config: &IssuerConfig) -> Result<Self, IdentityError> {
        Ok(Self {
            name: config.issuer.as_str().into(),
            audiences: config.audiences.clone(),
            algorithms: config.algorithms.clone(),
            claims: config.claims.clone(),
            keys: KeySet::new(config)?,
        })
    }

    /// The claims, once the signature is good, and the generation of the key that says so.
    async fn verify(
        &self,
        token: &str,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> Result<(Claims, u64), Fault> {
        let found = self.keys.key(key_id.ok_or(Fault::UnknownKey)?).await;
        let (key, generation) = found.map_err(|missing| match missing {
            NoKey::Unknown => Fault::UnknownKey,
            NoKey::Unreachable => Fault::Unverifiable,
        })?;
        if !key.verifies(algorithm) {
            return Err(Fault::Algorithm);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &only_signature(algorithm));
        decoded.map(|token| (token.claims, generation)).map_err(|_| Fault::Signature)
    }
}

/// Only the signature is the library's to check: its time checks read the machine's clock, and its
/// audience check is off unless it is given one.
fn only_signature(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let issuers: Vec<&str> = self.issuers.iter().map(|issuer| &*issuer.name).collect();
        f.debug_struct("Tokens").field("issuers", &issuers).finish_non_exhaustive()
    }
}
