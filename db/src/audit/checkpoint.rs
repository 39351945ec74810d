//! Signed statements of how far the chain reached, kept outside the database: whoever can rewrite every row still cannot
//! rewrite these. Must not know rows.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use caremesh_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Error;
use crate::keys::framed;

/// How far the chain reached at an instant, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Place of the last sealed line, from 1.
    pub position: i64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// When it was sealed.
    pub at: Timestamp,
    /// Which key signed: the first 16 hexadecimal digits of the public key's sha256.
    pub key_id: String,
    /// Ed25519 signature over all of the above, hexadecimal.
    pub signature: String,
}

impl Checkpoint {
    fn message(&self) -> Vec<u8> {
        let (position, at) = (self.position.to_be_bytes(), self.at.as_micros().to_be_bytes());
        framed(&[
            b"caremesh-audit-checkpoint-1",
            &position,
            self.hash.as_bytes(),
            &at,
            self.key_id.as_bytes(),
        ])
    }
}

/// Takes checkpoints out of the database's reach: a file here, an object store with a retention lock elsewhere.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Stores a checkpoint for good. The same one may come twice.
    ///
    /// # Errors
    /// When it is not safe; the sealer tries again.
    async fn publish(&self, checkpoint: &Checkpoint) -> Result<(), Error>;
}

/// The key that signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    key_id: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Signer {
    /// Opens the key file (PKCS#8), making it with mode 0600 when it is not there.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be read or written, is malformed, or others than its owner may read it.
    pub fn open_or_create(file: &Path) -> Result<Self, Error> {
        if !file.exists() {
            let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
            let document = document.map_err(|_| wrong(file, &"no key could be generated"))?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let written = options.open(file).and_then(|mut out| {
                out.write_all(document.as_ref())?;
                out.sync_all()
            });
            written.map_err(|error| wrong(file, &error))?;
        }
        let mode = std::fs::metadata(file).map_err(|error| wrong(file, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong(file, &"may be read by others; set its mode to 600"));
        }
        let bytes = Zeroizing::new(std::fs::read(file).map_err(|error| wrong(file, &error))?);
        let pair = Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| wrong(file, &"is not an Ed25519 key"))?;
        let key_id = key_id(pair.public_key().as_ref());
        Ok(Self { pair, key_id })
    }

    /// What checks this key's signatures; it may be given to anybody.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { public_key: self.pair.public_key().as_ref().to_vec() }
    }

    pub(super) fn sign(&self, position: i64, hash: &[u8], at: Timestamp) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            position,
            hash: hex::encode(hash),
            at,
            key_id: self.key_id.clone(),
            signature: String::new(),
        };
        checkpoint.signature = hex::encode(self.pair.sign(&checkpoint.message()));
        checkpoint
    }
}

/// Checks signatures of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    public_key: Vec<u8>,
}

impl Verifier {
    /// From a public key of 32 bytes in hexadecimal text.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not one.
    pub fn from_hex(public_key: &str) -> Result<Self, Error> {
        let public_key = hex::decode(public_key.trim()).ok().filter(|bytes| bytes.len() == 32);
        let refused = || Error::Config("audit public key: must be 64 hexadecimal digits".to_owned());
        public_key.map(|public_key| Self { public_key }).ok_or_else(refused)
    }

    /// The public key as hexadecimal text.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(&self.public_key)
    }

    /// Whether this key signed exactly this checkpoint.
    #[must_use]
    pub fn accepts(&self, checkpoint: &Checkpoint) -> bool {
        let Ok(signature) = hex::decode(&checkpoint.signature) else { return false };
        let key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        checkpoint.key_id == key_id(&self.public_key) && key.verify(&checkpoint.message(), &signature).is_ok()
    }
}

fn key_id(public_key: &[u8]) -> String {
    hex::encode(&digest(&SHA256, public_key).as_ref()[..8])
}

/// Checkpoints in a file, one JSON object a line, only ever appended to.
#[derive(Debug)]
pub struct CheckpointLog {
    file: PathBuf,
}

impl CheckpointLog {
    /// A log in this file; the first checkpoint makes it.
    #[must_use]
    pub fn in_file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// All checkpoints, in the order of publishing; none when the file is not there.
    ///
    /// # Errors
    /// [`Error::Config`] naming the line that is no checkpoint.
    pub fn read(&self) -> Result<Vec<Checkpoint>, Error> {
        if !self.file.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&self.file).map_err(|error| wrong(&self.file, &error))?;
        let lines = text.lines().enumerate().map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|_| wrong(&self.file, &format!("line {} is no checkpoint", number + 1)))
        });
        lines.collect()
    }

    fn append(&self, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let mut line = serde_json::to_string(checkpoint)?;
        line.push('\n');
        let mut out = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)?;
        out.write_all(line.as_bytes())?;
        out.sync_all()
    }
}

#[async_trait]
impl Publisher for CheckpointLog {
    async fn publish(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let (log, checkpoint) = (Self::in_file(&self.file), checkpoint.clone());
        let appended = tokio::task::spawn_blocking(move || log.append(&checkpoint)).await;
        match appended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(wrong(&self.file, &error)),
            Err(_) => Err(Error::Panicked),
        }
    }
}

fn wrong(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("audit file {}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_checkpoint_verifies_until_any_of_it_is_changed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let signer = Signer::open_or_create(&folder.path().join("audit.key")).expect("made");
        let reopened = Signer::open_or_create(&folder.path().join("audit.key")).expect("opened");
        let checkpoint = signer.sign(3, &[9; 32], Timestamp::from_micros(5));
        let verifier = Verifier::from_hex(&reopened.verifier().to_hex()).expect("a public key");
        assert!(verifier.accepts(&checkpoint));
        assert!(!verifier.accepts(&Checkpoint { position: 4, ..checkpoint.clone() }));
        assert!(!verifier.accepts(&Checkpoint { hash: "00".to_owned(), ..checkpoint.clone() }));
        assert!(!verifier.accepts(&Checkpoint { at: Timestamp::from_micros(6), ..checkpoint.clone() }));

        let log = CheckpointLog::in_file(folder.path().join("audit.log"));
        assert_eq!(log.read().expect("no file yet"), vec![]);
        log.publish(&checkpoint).await.expect("published");
        assert_eq!(log.read().expect("one line"), vec![checkpoint]);
    }

    #[test]
    fn another_key_is_not_accepted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ours = Signer::open_or_create(&folder.path().join("ours")).expect("made");
        let theirs = Signer::open_or_create(&folder.path().join("theirs")).expect("made");
        assert!(!ours.verifier().accepts(&theirs.sign(1, &[0; 32], Timestamp::from_micros(1))));
    }
}
