//! The signing keys of the demo issuer: made on first start, rotated daily, kept in the data folder.
//! Must not know what is signed with them, nor for whom.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};

use crate::files;

/// A key signs for a day; then the next one takes over.
const SIGNS_FOR_S: i64 = 24 * 3600;
/// A new key is published this long before it signs, so that cached key sets know it by then.
const PUBLISHED_AHEAD_S: i64 = 600;
/// A key that signs no more stays published for longer than any token that it signed lives.
const PUBLISHED_AFTER_S: i64 = 2 * 3600;

/// One key as the file holds it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    /// Seconds since the epoch.
    created_at_s: i64,
    /// The private key, PKCS#8 DER in base64.
    pkcs8: String,
}

/// One key ready to sign.
struct SigningKey {
    stored: StoredKey,
    kid: String,
    encoding: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    fn generate(now_s: i64) -> Result<Self> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let pkcs8 = STANDARD.encode(pair.serialized_der());
        Self::load(StoredKey { created_at_s: now_s, pkcs8 })
    }

    fn load(stored: StoredKey) -> Result<Self> {
        let der = STANDARD.decode(&stored.pkcs8).context("a signing key is not base64")?;
        let encoding = EncodingKey::from_ec_der(&der);
        let mut public = Jwk::from_encoding_key(&encoding, Algorithm::ES256)?;
        // RFC 7638: the same key has the same id in every process that reads the file.
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.key_algorithm = Some(KeyAlgorithm::ES256);
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { stored, kid, encoding, public })
    }

    fn age_s(&self, now_s: i64) -> i64 {
        now_s - self.stored.created_at_s
    }
}

/// The issuer's keys, oldest first. Several processes may read the file; only `up` opens it to rotate.
pub struct KeyRing {
    path: PathBuf,
    keys: Mutex<Vec<SigningKey>>,
}

impl KeyRing {
    /// Opens the key file, or makes it with a first key.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or cannot be written.
    pub fn open_or_create(path: &Path, now_s: i64) -> Result<Self> {
        if path.exists() {
            return Self::open(path);
        }
        let ring = Self { path: path.to_owned(), keys: Mutex::new(vec![SigningKey::generate(now_s)?]) };
        ring.save(&ring.lock())?;
        Ok(ring)
    }

    /// Opens the key file of an issuer that has been started before.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("cannot read the signing keys {}", path.display()))?;
        let stored: Vec<StoredKey> = serde_json::from_slice(&text)
            .with_context(|| format!("the signing keys {} are damaged", path.display()))?;
        let keys = stored.into_iter().map(SigningKey::load).collect::<Result<Vec<_>>>()?;
        anyhow::ensure!(!keys.is_empty(), "{} holds no signing key", path.display());
        Ok(Self { path: path.to_owned(), keys: Mutex::new(keys) })
    }

    /// Signs claims with the key whose turn it is.
    ///
    /// # Errors
    /// When the claims cannot be serialised.
    pub fn sign(&self, typ: &str, claims: &impl Serialize, now_s: i64) -> Result<String> {
        let keys = self.lock();
        let key = current(&keys, now_s).context("no signing key")?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        Ok(encode(&header, claims, &key.encoding)?)
    }

    /// The public keys that tokens in circulation, or soon to be, are signed with.
    #[must_use]
    pub fn public_set(&self) -> JwkSet {
        JwkSet { keys: self.lock().iter().map(|key| key.public.clone()).collect() }
    }

    /// Adds the next key when its time has come and drops those that no living token needs.
    ///
    /// # Errors
    /// When the file cannot be written; the keys in memory are then as before.
    pub fn rotate(&self, now_s: i64) -> Result<()> {
        let mut keys = self.lock();
        let newest_age_s = keys.last().map_or(i64::MAX, |key| key.age_s(now_s));
        if newest_age_s < SIGNS_FOR_S {
            return Ok(());
        }
        let next = SigningKey::generate(now_s)?;
        keys.retain(|key| key.age_s(now_s) < 2 * SIGNS_FOR_S + PUBLISHED_AFTER_S);
        keys.push(next);
        self.save(&keys)
    }

    fn save(&self, keys: &[SigningKey]) -> Result<()> {
        let stored: Vec<&StoredKey> = keys.iter().map(|key| &key.stored).collect();
        files::write_private(&self.path, &serde_json::to_vec(&stored)?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SigningKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest key that has been published long enough; the very first key signs at once.
fn current(keys: &[SigningKey], now_s: i64) -> Option<&SigningKey> {
    keys.iter().rev().find(|key| key.age_s(now_s) >= PUBLISHED_AHEAD_S).or_else(|| keys.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_ONE_S: i64 = 1_790_000_000;

    fn kid_of(token: &str) -> String {
        jsonwebtoken::decode_header(token).expect("a header").kid.expect("a kid")
    }

    fn published(ring: &KeyRing) -> Vec<String> {
        ring.public_set().keys.iter().filter_map(|key| key.common.key_id.clone()).collect()
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_after_it_signed() {
        let folder = tempfile::tempdir().expect("a folder");
        let ring = KeyRing::open_or_create(&folder.path().join("keys.json"), DAY_ONE_S).expect("keys");
        let first = kid_of(&ring.sign("JWT", &serde_json::json!({}), DAY_ONE_S).expect("signs"));

        let day_two_s = DAY_ONE_S + SIGNS_FOR_S;
        ring.rotate(day_two_s).expect("rotates");
        let at_once = kid_of(&ring.sign("JWT", &serde_json::json!({}), day_two_s).expect("signs"));
        let later_s = day_two_s + PUBLISHED_AHEAD_S;
        let later = kid_of(&ring.sign("JWT", &serde_json::json!({}), later_s).expect("signs"));

        assert_eq!(first, at_once, "the new key must not sign before caches can know it");
        assert_ne!(first, later);
        assert_eq!(published(&ring), [first, later]);
    }

    #[test]
    fn a_key_is_dropped_once_no_living_token_needs_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let ring = KeyRing::open_or_create(&folder.path().join("keys.json"), DAY_ONE_S).expect("keys");
        let first = published(&ring);
        for day in 1..=3 {
            ring.rotate(DAY_ONE_S + day * SIGNS_FOR_S).expect("rotates");
        }
        assert_eq!(published(&ring).len(), 3);
        assert!(!published(&ring).contains(&first[0]));
    }

    #[test]
    fn another_process_reads_the_same_keys() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let ring = KeyRing::open_or_create(&path, DAY_ONE_S).expect("keys");
        assert_eq!(published(&ring), published(&KeyRing::open(&path).expect("the same file")));
    }
}
