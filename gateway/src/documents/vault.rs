//! Where documents lie: pieces of each, sealed with a key of its own, which is wrapped by the gateway's
//! key and lies beside them; without either nothing can be read. Must not know tickets nor HTTP.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use caremesh_kernel::Timestamp;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use thiserror::Error;

use crate::config::DocumentsConfig;

/// What sealing adds to a piece.
const OVERHEAD: u64 = (NONCE_LEN + MAX_TAG_LEN) as u64;
const KEY_LEN: usize = 32;
/// Where the marks of documents lie that are not whole, each under the document's place.
const MARKS: &str = "_open";

/// Why the store of documents cannot be opened or used. Names files and objects, never content.
#[derive(Debug, Error)]
pub(crate) enum VaultError {
    /// The folder is not there or not a folder.
    #[error("{path}: must be a folder that can be written")]
    Folder { path: PathBuf, source: object_store::Error },
    /// The bucket cannot be reached with what is configured.
    #[error("bucket {bucket}: cannot be used")]
    Bucket { bucket: String, source: object_store::Error },
    /// A file with a key is not there.
    #[error("{path}: the key in it cannot be read")]
    KeyFile { path: PathBuf, source: io::Error },
    /// The key file does not hold a key.
    #[error("{path}: must hold 32 bytes in base64")]
    Key { path: PathBuf },
    /// The store failed.
    #[error("the store of documents failed")]
    Store(#[from] object_store::Error),
    /// Something in the store was not sealed with our keys, or not for its place.
    #[error("a stored piece cannot be opened")]
    Sealed,
    /// The random source or the cipher failed.
    #[error("sealing failed")]
    Cipher,
}

/// All documents. Clones share them.
#[derive(Clone)]
pub(crate) struct Vault {
    store: Arc<dyn ObjectStore>,
    key: Arc<RandomizedNonceKey>,
}

/// Something of a document, and when it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) place: String,
    pub(super) written_at: Timestamp,
}

/// One document whose key is at hand.
pub(super) struct Drawer {
    store: Arc<dyn ObjectStore>,
    key: RandomizedNonceKey,
    place: String,
}

/// A stored piece: where it begins in the document and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Vault {
    /// The documents that `config` names.
    ///
    /// # Errors
    /// A folder, a bucket or a key that cannot be used.
    pub(crate) fn open(config: &DocumentsConfig) -> Result<Self, VaultError> {
        let store = super::store::open(config)?;
        let key = read_key(&config.key_file)?;
        Ok(Self { store, key: Arc::new(key) })
    }

    /// The document at `place` (`svc-pharmacy/prescription/<id>`), if anything of it is there.
    pub(super) async fn find(&self, place: String) -> Result<Option<Drawer>, VaultError> {
        let path = key_path(&place);
        let wrapped = match self.store.get(&path).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let key = open(&self.key, &path, &wrapped)?;
        let key = cipher(&key).ok_or(VaultError::Sealed)?;
        Ok(Some(Drawer { store: self.store.clone(), key, place }))
    }

    /// The same, made anew when nothing is there.
    pub(super) async fn find_or_make(&self, place: String) -> Result<Drawer, VaultError> {
        if let Some(drawer) = self.find(place.clone()).await? {
            return Ok(drawer);
        }
        let mut key = zeroize::Zeroizing::new([0; KEY_LEN]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| VaultError::Cipher)?;
        let path = key_path(&place);
        let wrapped = seal(&self.key, &path, &*key)?;
        // Before anything else of the document, so that whatever is given up is found.
        self.mark(&place).await?;
        // Of several who begin at once one makes the key; all take what is there then.
        put_new(&*self.store, &path, wrapped).await?;
        self.find(place).await?.ok_or(VaultError::Sealed)
    }

    /// Takes a document away, in whatever state it is. May be repeated.
    pub(super) async fn remove(&self, place: &str) -> Result<(), VaultError> {
        // With the mark, a sweep finishes what breaks off here. Without its facts the document is not
        // whole, and without its key nothing of it can be read.
        self.mark(place).await?;
        self.delete(&facts_path(place)).await?;
        self.delete(&key_path(place)).await?;
        let rest: Vec<_> = self.store.list(Some(&Path::from(place))).try_collect().await?;
        for object in rest {
            self.delete(&object.location).await?;
        }
        self.unmark(place).await
    }

    /// Says that something of the document is there which is not whole, or will not be.
    pub(super) async fn mark(&self, place: &str) -> Result<(), VaultError> {
        put_new(&*self.store, &mark_path(place), Bytes::new()).await.map(drop)
    }

    /// Takes the mark of a document away.
    pub(super) async fn unmark(&self, place: &str) -> Result<(), VaultError> {
        self.delete(&mark_path(place)).await
    }

    /// The documents that are not whole, or were not when they were marked.
    pub(super) async fn marked(&self) -> Result<Vec<Trace>, VaultError> {
        let found: Vec<_> = self.store.list(Some(&Path::from(MARKS))).try_collect().await?;
        let trace = |it: &ObjectMeta| {
            let place = it.location.as_ref().strip_prefix(MARKS)?.strip_prefix('/')?.to_owned();
            Some(Trace { place, written_at: written_at(it) })
        };
        Ok(found.iter().filter_map(trace).collect())
    }

    /// Whether the document is whole, and when anything of it was last written.
    pub(super) async fn look(&self, place: &str) -> Result<(bool, Option<Timestamp>), VaultError> {
        let found: Vec<_> = self.store.list(Some(&Path::from(place))).try_collect().await?;
        let whole = found.iter().any(|it| it.location == facts_path(place));
        Ok((whole, found.iter().map(written_at).max()))
    }

    /// The whole documents below `kind` (`svc-pharmacy/prescription`), each with the time at which it became
    /// whole.
    pub(super) async fn whole(&self, kind: &str) -> Result<Vec<Trace>, VaultError> {
        let found: Vec<_> = self.store.list(Some(&Path::from(kind))).try_collect().await?;
        let trace = |it: &ObjectMeta| {
            let place = it.location.as_ref().strip_suffix("/facts")?.to_owned();
            Some(Trace { place, written_at: written_at(it) })
        };
        Ok(found.iter().filter_map(trace).collect())
    }

    async fn delete(&self, path: &Path) -> Result<(), VaultError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn written_at(object: &ObjectMeta) -> Timestamp {
    Timestamp::from_micros(object.last_modified.timestamp_micros())
}

impl Drawer {
    /// The pieces without a gap from the beginning.
    pub(super) async fn pieces(&self) -> Result<Vec<Piece>, VaultError> {
        let found: Vec<_> = self.store.list(Some(&self.folder())).try_collect().await?;
        let piece = |it: &ObjectMeta| {
            let offset = it.location.filename()?.parse().ok()?;
            Some(Piece { offset, length: it.size.checked_sub(OVERHEAD)? })
        };
        let mut pieces: Vec<Piece> = found.iter().filter_map(piece).collect();
        pieces.sort_by_key(|it| it.offset);
        let mut end = 0;
        let gapless = pieces.iter().take_while(|it| {
            let follows = it.offset == end;
            end += it.length;
            follows
        });
        let count = gapless.count();
        pieces.truncate(count);
        Ok(pieces)
    }

    /// Stores a piece. False when one that begins there is there already.
    pub(super) async fn put(&self, offset: u64, plain: &[u8]) -> Result<bool, VaultError> {
        let path = self.piece(offset);
        let sealed = seal(&self.key, &path, plain)?;
        put_new(&*self.store, &path, sealed).await
    }

    /// Reads a piece.
    pub(super) async fn get(&self, offset: u64) -> Result<Bytes, VaultError> {
        let path = self.piece(offset);
        let sealed = self.store.get(&path).await?.bytes().await?;
        open(&self.key, &path, &sealed).map(Bytes::from)
    }

    /// Takes all pieces away.
    pub(super) async fn clear(&self) -> Result<(), VaultError> {
        for piece in self.pieces().await? {
            self.store.delete(&self.piece(piece.offset)).await?;
        }
        Ok(())
    }

    /// Says that the document is whole, with what is known of it.
    pub(super) async fn close(&self, facts: &[u8]) -> Result<(), VaultError> {
        let path = self.facts_path();
        put_new(&*self.store, &path, seal(&self.key, &path, facts)?).await?;
        // A mark that stays is taken away by the next sweep, which sees that the document is whole.
        let _ = self.store.delete(&mark_path(&self.place)).await;
        Ok(())
    }

    /// What [`Drawer::close`] was told; None while the document is not whole.
    pub(super) async fn facts(&self) -> Result<Option<Vec<u8>>, VaultError> {
        let path = self.facts_path();
        match self.store.get(&path).await {
            Ok(found) => open(&self.key, &path, &found.bytes().await?).map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn folder(&self) -> Path {
        Path::from(format!("{}/pieces", self.place))
    }

    fn piece(&self, offset: u64) -> Path {
        Path::from(format!("{}/pieces/{offset:020}", self.place))
    }

    fn facts_path(&self) -> Path {
        facts_path(&self.place)
    }
}

fn key_path(place: &str) -> Path {
    Path::from(format!("{place}/key"))
}

fn facts_path(place: &str) -> Path {
    Path::from(format!("{place}/facts"))
}

/// Says that something of the document is there which is not whole. No service's name begins like this.
fn mark_path(place: &str) -> Path {
    Path::from(format!("{MARKS}/{place}"))
}

fn read_key(file: &FilePath) -> Result<RandomizedNonceKey, VaultError> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|source| VaultError::KeyFile { path: file.to_owned(), source })?;
    let key = STANDARD.decode(text.trim()).ok().and_then(|bytes| cipher(&bytes));
    key.ok_or_else(|| VaultError::Key { path: file.to_owned() })
}

fn cipher(key: &[u8]) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, key).ok()
}

/// Bound to its place: a piece that was moved, or taken from another document, does not open.
fn seal(key: &RandomizedNonceKey, place: &Path, plain: &[u8]) -> Result<Bytes, VaultError> {
    let mut sealed = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(place.as_ref().as_bytes()), &mut sealed);
    let nonce = nonce.map_err(|_| VaultError::Cipher)?;
    Ok([nonce.as_ref().as_slice(), &sealed].concat().into())
}

fn open(key: &RandomizedNonceKey, place: &Path, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Sealed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Sealed)?;
    let mut rest = rest.to_vec();
    let aad = Aad::from(place.as_ref().as_bytes());
    let length = key.open_in_place(nonce, aad, &mut rest).map_err(|_| VaultError::Sealed)?.len();
    rest.truncate(length);
    Ok(rest)
}

/// False when something is there already; it stays.
async fn put_new(store: &dyn ObjectStore, path: &Path, content: Bytes) -> Result<bool, VaultError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, content.into(), options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
