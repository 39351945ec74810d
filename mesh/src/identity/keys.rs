//! An issuer's key set: fetched when first needed, again when it has aged (the old one serves
//! meanwhile) and when a token names an unknown key (at most once per interval, so that a flood of
//! made-up key ids costs the issuer nothing).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    config::{IdentityError, IssuerConfig},
    fetch::{Fetched, Source},
};

/// Pause after a fetch that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// One issuer's keys. Shared by all calls.
#[derive(Debug)]
pub(super) struct KeySet {
    issuer: Box<str>,
    source: Source,
    refresh_after: Duration,
    serve_stale: Duration,
    miss_interval: Duration,
    present: ArcSwap<Keys>,
    /// Held while fetching: of many who need the set, one fetches.
    fetching: Mutex<Attempts>,
    refreshing: AtomicBool,
}

#[derive(Debug, Default)]
struct Attempts {
    not_before: Option<Instant>,
    etag: Option<HeaderValue>,
}

impl Attempts {
    fn is_due(&self) -> bool {
        self.not_before.is_none_or(|not_before| Instant::now() >= not_before)
    }
}

/// The keys as last fetched.
#[derive(Debug, Default)]
struct Keys {
    by_id: HashMap<String, Arc<VerifyingKey>>,
    /// Counts the sets that differed. 0: none was ever fetched.
    generation: u64,
    fetched: Option<Instant>,
    raw: bytes::Bytes,
}

/// A public key and what it may verify.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    pub(super) key: DecodingKey,
    algorithm: Option<Algorithm>,
}

impl VerifyingKey {
    /// A key of one family never verifies another's signature, whatever the token's header says.
    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none of that id.
    Unknown,
    /// The issuer cannot be asked, and what we have is too old or nothing.
    Unreachable,
}

impl KeySet {
    pub(super) fn new(config: &IssuerConfig) -> Result<Arc<Self>, IdentityError> {
        let seconds = |n: u32| Duration::from_secs(n.into());
        Ok(Arc::new(Self {
            issuer: config.issuer.as_str().into(),
            source: Source::new(config)?,
            refresh_after: seconds(config.refresh_seconds),
            serve_stale: seconds(config.serve_stale_seconds),
            miss_interval: seconds(config.unknown_key_seconds),
            present: ArcSwap::default(),
            fetching: Mutex::default(),
            refreshing: AtomicBool::new(false),
        }))
    }

    /// The key called `id`, and the generation it is of.
    pub(super) async fn key(self: &Arc<Self>, id: &str) -> Result<(Arc<VerifyingKey>, u64), NoKey> {
        if let Some(generation) = self.generation()
            && let Some(key) = self.present.load().by_id.get(id)
        {
            return Ok((key.clone(), generation));
        }
        self.fetch_for(id).await;
        let Some(generation) = self.generation() else { return Err(NoKey::Unreachable) };
        let present = self.present.load();
        present.by_id.get(id).map(|key| (key.clone(), generation)).ok_or(NoKey::Unknown)
    }

    /// The generation that may serve now; None when there is none, or it is older than may be served.
    /// An aged one starts a refresh behind the caller's back.
    pub(super) fn generation(self: &Arc<Self>) -> Option<u64> {
        let present = self.present.load();
        let age = present.fetched?.elapsed();
        if age > self.refresh_after {
            self.refresh_behind();
        }
        (age <= self.refresh_after + self.serve_stale).then_some(present.generation)
    }

    fn refresh_behind(self: &Arc<Self>) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let keys = self.clone();
        tokio::spawn(async move {
            let mut attempts = keys.fetching.lock().await;
            if attempts.is_due() {
                keys.fetch(&mut attempts).await;
            }
            drop(attempts);
            keys.refreshing.store(false, Ordering::Release);
        });
    }

    /// Fetches because `id` is not there, or what is there is too old, unless somebody just did. In a task
    /// of its own: a caller that goes away in the middle would leave the interval spent and no keys, and
    /// the next callers would be told that the issuer is unreachable.
    async fn fetch_for(self: &Arc<Self>, id: &str) {
        let (keys, id) = (self.clone(), id.to_owned());
        let fetching = tokio::spawn(async move {
            let mut attempts = keys.fetching.lock().await;
            let found = keys.generation().is_some() && keys.present.load().by_id.contains_key(&id);
            if !found && attempts.is_due() {
                keys.fetch(&mut attempts).await;
            }
        });
        // A fetch that panicked has brought no keys; the caller looks for itself.
        drop(fetching.await);
    }

    async fn fetch(&self, attempts: &mut Attempts) {
        attempts.not_before = Some(Instant::now() + self.miss_interval);
        match self.source.fetch(attempts.etag.as_ref()).await {
            Ok(Fetched::Unchanged) => self.keep(),
            Ok(Fetched::Body { bytes, etag }) => {
                if self.replace(&bytes) {
                    attempts.etag = etag;
                }
            }
            Err(error) => {
                // An issuer that was away for a moment must not cost a whole interval.
                attempts.not_before = Some(Instant::now() + self.miss_interval.min(AFTER_FAILURE));
                tracing::warn!(
                    issuer = &*self.issuer,
                    error = &error as &dyn std::error::Error,
                    "an issuer's key set could not be fetched; the last one serves on"
                );
            }
        }
    }

    fn keep(&self) {
        let old = self.present.load();
        self.present.store(Arc::new(Keys {
            by_id: old.by_id.clone(),
            generation: old.generation,
            fetched: Some(Instant::now()),
            raw: old.raw.clone(),
        }));
    }

    fn replace(&self, bytes: &bytes::Bytes) -> bool {
        let old = self.present.load();
        if old.generation > 0 && old.raw == bytes {
            self.keep();
            return true;
        }
        let by_id = usable(bytes);
        // An issuer without keys is an issuer with a fault: nobody revokes by publishing nothing.
        if by_id.is_empty() {
            tracing::warn!(
                issuer = &*self.issuer,
                "an issuer's key set holds no usable signing key; the last one serves on"
            );
            return false;
        }
        tracing::info!(issuer = &*self.issuer, keys = by_id.len(), "an issuer's key set was read");
        let (generation, fetched) = (old.generation + 1, Some(Instant::now()));
        self.present.store(Arc::new(Keys { by_id, generation, fetched, raw: bytes.clone() }));
        true
    }
}

/// The signing keys of a set, by id. Others are left out: shared secrets, encryption keys, keys
/// without an id, kinds we do not know.
fn usable(bytes: &[u8]) -> HashMap<String, Arc<VerifyingKey>> {
    let Ok(set) = serde_json::from_slice::<JwkSet>(bytes) else { return HashMap::new() };
    set.keys.iter().filter_map(verifying_key).collect()
}

fn verifying_key(jwk: &Jwk) -> Option<(String, Arc<VerifyingKey>)> {
    let id = jwk.common.key_id.clone()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
    let algorithm = match jwk.common.key_algorithm {
        Some(own) => Some(own.to_string().parse().ok()?),
        None => None,
    };
    Some((id, Arc::new(VerifyingKey { key, algorithm })))
}
