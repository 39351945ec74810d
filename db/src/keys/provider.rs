//! Where the keys come from that wrap data keys: a file in the data folder here, a key management service elsewhere.
//! Must not know persons, fields or tables.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::seal::{KEY_LEN, KeyBytes, SealingKey};
use crate::Error;

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Which key-encryption key wraps it.
    pub kek: String,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

/// Holds key-encryption keys and never gives them out.
#[async_trait]
pub trait KeyProvider: Send + Sync + 'static {
    /// Name of the key-encryption key that wraps new keys.
    fn current(&self) -> String;

    /// Wraps a data key under the current key-encryption key, bound to `context`.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn wrap(&self, context: &[u8], key: &KeyBytes) -> Result<Wrapped, Error>;

    /// Unwraps a data key.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the key-encryption key is unknown or the bytes do not belong to `context`.
    async fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<KeyBytes, Error>;

    /// A key for `purpose` that is the same on every replica and survives rotation: for keyed hashes, which have to stay
    /// comparable with what is stored.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn derive(&self, purpose: &str) -> Result<KeyBytes, Error>;
}

/// Fresh random bytes for a key.
pub(crate) fn random_key() -> Result<KeyBytes, Error> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| Error::Sealed)?;
    Ok(bytes)
}

/// Key-encryption keys in a file that only its owner may read.
#[derive(Debug)]
pub struct LocalKeys {
    file: PathBuf,
    ring: RwLock<Ring>,
}

/// Hexadecimal text per key: the file's form and the form in memory, wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    root: String,
    current: String,
    keys: BTreeMap<String, String>,
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.root.zeroize();
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Ring").field("current", &self.current).finish_non_exhaustive()
    }
}

impl LocalKeys {
    /// Opens the key file, making it with fresh keys and mode 0600 when it is not there.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read or written, others than its owner may read it, or it is malformed.
    pub fn open_or_create(file: impl Into<PathBuf>) -> Result<Self, Error> {
        let file = file.into();
        if !file.exists() {
            let root = hex_key()?;
            let keys = BTreeMap::from([(kek_name(1), hex_key()?)]);
            save(&file, &Ring { root, current: kek_name(1), keys })?;
        }
        refuse_open_mode(&file)?;
        let text = Zeroizing::new(std::fs::read_to_string(&file).map_err(|error| wrong(&file, &error))?);
        let ring = serde_json::from_str(&text).map_err(|_| wrong(&file, &"is not a key file"))?;
        Ok(Self { file, ring: RwLock::new(ring) })
    }

    /// Adds a key-encryption key and makes it current. Old ones stay until nothing is wrapped with them.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be written.
    pub fn rotate(&self) -> Result<String, Error> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let name = kek_name(ring.keys.len() + 1);
        ring.keys.insert(name.clone(), hex_key()?);
        ring.current.clone_from(&name);
        save(&self.file, &ring)?;
        Ok(name)
    }

    fn kek(&self, name: &str) -> Result<SealingKey, Error> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        SealingKey::new(&bytes_of(ring.keys.get(name).ok_or(Error::Sealed)?)?)
    }
}

#[async_trait]
impl KeyProvider for LocalKeys {
    fn current(&self) -> String {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    async fn wrap(&self, context: &[u8], key: &KeyBytes) -> Result<Wrapped, Error> {
        let kek = self.current();
        let bytes = self.kek(&kek)?.seal(context, key.as_slice())?;
        Ok(Wrapped { kek, bytes })
    }

    async fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<KeyBytes, Error> {
        let plain = self.kek(&wrapped.kek)?.open(context, &wrapped.bytes)?;
        let key: [u8; KEY_LEN] = plain.as_slice().try_into().map_err(|_| Error::Sealed)?;
        Ok(Zeroizing::new(key))
    }

    async fn derive(&self, purpose: &str) -> Result<KeyBytes, Error> {
        let root = bytes_of(&self.ring.read().unwrap_or_else(PoisonError::into_inner).root)?;
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"caremesh").extract(root.as_slice());
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let info = [purpose.as_bytes()];
        let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| Error::Sealed)?;
        expanded.fill(key.as_mut_slice()).map_err(|_| Error::Sealed)?;
        Ok(key)
    }
}

fn kek_name(number: usize) -> String {
    format!("local-{number}")
}

fn hex_key() -> Result<String, Error> {
    Ok(hex::encode(random_key()?.as_slice()))
}

fn bytes_of(text: &str) -> Result<KeyBytes, Error> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| Error::Sealed)?;
    Ok(bytes)
}

/// Written beside and renamed, so that a crash leaves the old file or the new one.
fn save(file: &Path, ring: &Ring) -> Result<(), Error> {
    let text =
        Zeroizing::new(serde_json::to_string_pretty(ring).map_err(|_| wrong(file, &"cannot be written"))?);
    let beside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || -> std::io::Result<()> {
        let mut out = options.open(&beside)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&beside, file)
    };
    write().map_err(|error| wrong(file, &error))
}

fn refuse_open_mode(file: &Path) -> Result<(), Error> {
    let mode = std::fs::metadata(file).map_err(|error| wrong(file, &error))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(wrong(file, &format!("may be read by others (mode {mode:o}); set it to 600")))
}

fn wrong(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("key file {}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[tokio::test]
    async fn a_key_wrapped_before_a_rotation_and_a_restart_unwraps_after_it() {
        let folder = folder();
        let file = folder.path().join("keys.json");
        let keys = LocalKeys::open_or_create(&file).expect("first start");
        let key = random_key().expect("key");
        let wrapped = keys.wrap(b"per_1", &key).await.expect("wrap");
        let derived = keys.derive("blind-index").await.expect("derive");
        assert_eq!(keys.rotate().expect("rotate"), "local-2");

        let reopened = LocalKeys::open_or_create(&file).expect("second start");
        assert_eq!(reopened.unwrap(b"per_1", &wrapped).await.expect("unwrap"), key);
        assert_eq!(reopened.wrap(b"per_1", &key).await.expect("wrap").kek, "local-2");
        assert_eq!(reopened.derive("blind-index").await.expect("derive"), derived);
        assert_ne!(reopened.derive("other").await.expect("derive"), derived);
        assert!(reopened.unwrap(b"per_2", &wrapped).await.is_err());
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = folder();
        let file = folder.path().join("keys.json");
        LocalKeys::open_or_create(&file).expect("made");
        let mode = std::fs::metadata(&file).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = LocalKeys::open_or_create(&file).expect_err("group may read");
        assert!(error.to_string().ends_with("may be read by others (mode 640); set it to 600"), "{error}");
    }

    #[test]
    fn keys_are_not_printed() {
        let folder = folder();
        let keys = LocalKeys::open_or_create(folder.path().join("keys.json")).expect("made");
        let root = keys.ring.read().expect("ring").root.to_string();
        assert!(!format!("{keys:?}").contains(&root));
    }
}
