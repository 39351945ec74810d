//! Where the keys come from that wrap data keys: a file in the data folder here, a key management service elsewhere.
//! Must not know persons, fields or tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
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

/// Key-encryption keys in a file that only its owner may read. A command may add one while services run: they notice that
/// the file is another one, so no data key is wrapped with an old one for long and none is met that cannot be unwrapped.
#[derive(Debug)]
pub struct LocalKeys {
    file: PathBuf,
    held: RwLock<Held>,
}

/// The ring in memory, and of which file it is.
#[derive(Debug)]
struct Held {
    ring: Ring,
    stamp: Stamp,
}

/// Tells two files of one name apart: inode, bytes, and the time of the last change. An inode alone may be used again.
type Stamp = (u64, u64, i64, i64);

/// Hexadecimal text per key: the file's form and the form in memory, wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    root: String,
    current: String,
    keys: BTreeMap<String, String>,
    /// A rotation to the current key has begun and not ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rotating: bool,
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
            create(&file)?;
        }
        refuse_open_mode(&file)?;
        let held = RwLock::new(read(&file)?);
        Ok(Self { file, held })
    }

    /// Adds a key-encryption key and makes it current. Old ones stay until nothing is wrapped with them. Two rotations at
    /// once add two: neither loses the other's, because each reads the file again under its lock.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read or written.
    pub fn rotate(&self) -> Result<String, Error> {
        let _lock = lock(&self.file)?;
        let Held { mut ring, .. } = read(&self.file)?;
        let newest = ring.keys.keys().filter_map(|name| number_of(name)).max().unwrap_or(0);
        let name = kek_name(newest + 1);
        ring.keys.insert(name.clone(), hex_key()?);
        ring.current.clone_from(&name);
        ring.rotating = true;
        save(&self.file, &ring)?;
        self.refresh()?;
        Ok(name)
    }

    /// The current key, when data keys were being wrapped with it and the work was not finished.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read.
    pub fn unfinished(&self) -> Result<Option<String>, Error> {
        let Held { ring, .. } = read(&self.file)?;
        Ok(ring.rotating.then(|| ring.current.clone()))
    }

    /// Every data key is wrapped with `name`: the rotation to it is over.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read or written.
    pub fn finish(&self, name: &str) -> Result<(), Error> {
        let _lock = lock(&self.file)?;
        let Held { mut ring, .. } = read(&self.file)?;
        if ring.rotating && ring.current == name {
            ring.rotating = false;
            save(&self.file, &ring)?;
        }
        self.refresh()
    }

    /// Reads the file again when it is another one than was read. A file that is being replaced is read the next time.
    fn refresh(&self) -> Result<(), Error> {
        let stamp = stamp_of(&self.file)?;
        if self.held.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(());
        }
        let held = read(&self.file)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }

    /// What the ring knows by now. A key file that cannot be read for a moment leaves what was read before.
    fn now<T>(&self, ask: impl Fn(&Ring) -> T) -> T {
        if let Err(error) = self.refresh() {
            tracing::warn!(error = %error, "the key file cannot be read again; going on with the keys that were read before");
        }
        ask(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    fn kek(&self, name: &str) -> Result<SealingKey, Error> {
        let known = |ring: &Ring| ring.keys.get(name).map(|key| bytes_of(key));
        let held = known(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring);
        // A name that is not known may have come with a rotation since.
        let bytes = held.or_else(|| self.now(known)).ok_or(Error::Sealed)??;
        SealingKey::new(&bytes)
    }
}

#[async_trait]
impl KeyProvider for LocalKeys {
    fn current(&self) -> String {
        self.now(|ring| ring.current.clone())
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
        let root = bytes_of(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring.root)?;
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"caremesh").extract(root.as_slice());
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let info = [purpose.as_bytes()];
        let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| Error::Sealed)?;
        expanded.fill(key.as_mut_slice()).map_err(|_| Error::Sealed)?;
        Ok(key)
    }
}

fn kek_name(number: u64) -> String {
    format!("local-{number}")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("local-")?.parse().ok()
}

/// A new key file, unless another process was first.
fn create(file: &Path) -> Result<(), Error> {
    let _lock = lock(file)?;
    if file.exists() {
        return Ok(());
    }
    let keys = BTreeMap::from([(kek_name(1), hex_key()?)]);
    save(file, &Ring { root: hex_key()?, current: kek_name(1), keys, rotating: false })
}

fn read(file: &Path) -> Result<Held, Error> {
    let stamp = stamp_of(file)?;
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|error| wrong(file, &error))?);
    let ring = serde_json::from_str(&text).map_err(|_| wrong(file, &"is not a key file"))?;
    Ok(Held { ring, stamp })
}

fn stamp_of(file: &Path) -> Result<Stamp, Error> {
    let found = std::fs::metadata(file).map_err(|error| wrong(file, &error))?;
    Ok((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

/// One writer of the key file at a time; let go with the handle, also by a crash.
fn lock(file: &Path) -> Result<File, Error> {
    let beside = file.with_extension("lock");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let locked = || -> std::io::Result<File> {
        let handle = options.open(&beside)?;
        handle.lock()?;
        Ok(handle)
    };
    locked().map_err(|error| wrong(file, &error))
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
        std::fs::rename(&beside, file)?;
        // What is wrapped with a new key must never outlive it: the name is on disk before anything is.
        file.parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
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

    #[tokio::test]
    async fn a_running_service_learns_of_a_rotation_by_another_process() {
        let folder = folder();
        let file = folder.path().join("keys.json");
        let service = LocalKeys::open_or_create(&file).expect("a service");
        let key = random_key().expect("key");
        let old = service.wrap(b"per_1", &key).await.expect("wrap");
        let command = LocalKeys::open_or_create(&file).expect("a command");
        let other = LocalKeys::open_or_create(&file).expect("another command");
        assert_eq!(command.rotate().expect("rotate"), "local-2");
        assert_eq!(other.rotate().expect("rotate"), "local-3", "it lost nothing of the first");
        let new = command.wrap(b"per_1", &key).await.expect("wrap");
        assert_eq!(new.kek, "local-3");
        assert_eq!(service.unwrap(b"per_1", &new).await.expect("a name it did not know"), key);
        assert_eq!(service.current(), "local-3", "and it wraps with the newest from now on");
        assert_eq!(service.unwrap(b"per_1", &old).await.expect("an older one stays"), key);
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
        let root = keys.held.read().expect("ring").ring.root.to_string();
        assert!(!format!("{keys:?}").contains(&root));
    }
}
