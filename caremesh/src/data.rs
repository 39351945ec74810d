//! The data folder of `caremesh up`: what lies where, whose it is, and that only one process uses it.
//! Must not know what is in the files.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::files;

/// The marker that a folder holds demo data and nothing else.
const MARKER: &str = "CAREMESH-DEMO";
const MARKER_TEXT: &str = "This folder holds demo data of `caremesh up`: invented people, keys for one machine.\n\
                           Remove the folder to start afresh. Never put real data here.\n";

/// A demo data folder.
pub struct DataFolder {
    root: PathBuf,
}

/// The right to use a data folder; gone with the process, whatever ends it.
pub struct Lock {
    _file: File,
}

impl DataFolder {
    /// Opens a demo folder, or makes one where there is nothing yet.
    ///
    /// # Errors
    /// When something else than demo data lies there, or the folder cannot be written.
    pub fn open_or_create(root: &Path) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        if folder.is_demo() {
            return Ok(folder);
        }
        ensure!(
            is_absent_or_empty(root)?,
            "{} holds data that `caremesh up` did not make (there is no {MARKER} file), and demo data is \
             never put beside other data: choose another folder with --data",
            root.display()
        );
        files::write_private(&folder.root.join(MARKER), MARKER_TEXT.as_bytes())?;
        Ok(folder)
    }

    /// Opens a demo folder that is there.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        ensure!(
            folder.is_demo(),
            "{} is no data folder of `caremesh up`: start `caremesh up` first, or name its folder with --data",
            root.display()
        );
        Ok(folder)
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another `caremesh up` uses {}: stop it, or choose another folder with --data",
                self.root.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// The local authority and the certificates it signed.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// The signing keys of the demo issuer.
    #[must_use]
    pub fn issuer_keys(&self) -> PathBuf {
        self.root.join("issuer").join("keys.json")
    }

    /// What other commands must know of a running or past `up`: see [`crate::endpoints`].
    #[must_use]
    pub fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    /// Says which demo data has been loaded whole.
    #[must_use]
    pub fn loaded(&self) -> PathBuf {
        self.root.join("demo-loaded")
    }

    /// The person ids that svc-policy gave to the demo people.
    #[must_use]
    pub fn person_ids(&self) -> PathBuf {
        self.root.join("person-ids.json")
    }

    /// The folder of a service's own files.
    #[must_use]
    pub fn service(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the folders of a service's stores: its data, its data keys, its audit checkpoints, each apart.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn make_stores(&self, service: &str) -> Result<()> {
        for path in [self.service(service), self.keys_of(service), self.audit_of(service)] {
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(())
    }

    /// Where a service's data keys lie, apart from what they seal.
    #[must_use]
    pub fn keys_of(&self, service: &str) -> PathBuf {
        self.root.join(format!("{service}-keys"))
    }

    /// Where a service's audit checkpoints are published, outside its database.
    #[must_use]
    pub fn audit_of(&self, service: &str) -> PathBuf {
        self.root.join(format!("{service}-audit"))
    }

    /// Where the gateway keeps documents: prescriptions, bills.
    #[must_use]
    pub fn documents(&self) -> PathBuf {
        self.root.join("documents")
    }

    /// The key that the keys of documents are wrapped with, apart from what it opens.
    #[must_use]
    pub fn documents_key(&self) -> PathBuf {
        self.root.join("documents-keys").join("documents.key")
    }

    /// Makes the folder of documents and their key, where they are not there yet.
    ///
    /// # Errors
    /// When they cannot be made, or the operating system gives no randomness.
    pub fn make_documents(&self) -> Result<()> {
        let folder = self.documents();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        if self.documents_key().exists() {
            return Ok(());
        }
        let mut key = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut key).context("the operating system gives no randomness")?;
        files::write_private(&self.documents_key(), STANDARD.encode(key).as_bytes())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn is_demo(&self) -> bool {
        self.root.join(MARKER).is_file()
    }
}

fn is_absent_or_empty(root: &Path) -> Result<bool> {
    match std::fs::read_dir(root) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", root.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_data_is_refused_and_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("policies.db"), "real").expect("written");
        let error = DataFolder::open_or_create(root.path()).err().expect("refused").to_string();
        assert!(error.contains("--data"), "{error}");
        assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 1);
    }

    #[test]
    fn the_key_of_documents_is_made_once() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open_or_create(&root.path().join("data")).expect("made");
        folder.make_documents().expect("made");
        let key = std::fs::read(folder.documents_key()).expect("written");
        folder.make_documents().expect("there already");
        assert_eq!(std::fs::read(folder.documents_key()).expect("there"), key);
        assert_eq!(STANDARD.decode(key).expect("base64").len(), 32);
    }

    #[test]
    fn a_folder_is_made_once_and_opened_again() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("data");
        assert!(DataFolder::open(&path).is_err());
        DataFolder::open_or_create(&path).expect("made");
        DataFolder::open_or_create(&path).expect("opened");
        DataFolder::open(&path).expect("opened");
    }

    #[test]
    fn two_processes_cannot_use_one_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open_or_create(root.path()).expect("made");
        let held = folder.lock().expect("the first");
        assert!(folder.lock().is_err());
        drop(held);
        folder.lock().expect("free again");
    }
}
