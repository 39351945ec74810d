//! What an operator does with a service's key store beside the running service: rotation of the key-encryption key, and the
//! erasure list with its replay after a restore. Must not know what the keys sealed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::PersonId;
use caremesh_mesh::CallContext;
use sea_orm_migration::MigratorTrait;

use super::person::PersonKeys;
use super::provider::LocalKeys;
use crate::{Config, Db, Error, Progress};

/// Data keys that one transaction wraps anew.
const STEP: u32 = 200;

/// Time that transactions under way may take at the end.
const LAST: Duration = Duration::from_secs(10);

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key-encryption key that wraps every data key now.
    pub kek: String,
    /// Whether it went on with a rotation that broke off, instead of beginning one.
    pub resumed: bool,
    /// Data keys that were wrapped anew.
    pub rewrapped: u64,
}

/// Gives the data keys of a service another key-encryption key; tells `progress` how many are done, of how many. Whatever a
/// key sealed is readable at every instant: a data key is wrapped with the old one or with the new one, both are in the ring,
/// and running services read the ring again when they meet a name they do not know. After a crash, run it again: the key
/// file remembers a rotation that is not over, and no further key is added.
///
/// # Errors
/// When the key file or the key store fails.
pub async fn rotate(
    keys: &PersonKeys,
    ring: &LocalKeys,
    context: &CallContext,
    progress: Progress<'_>,
) -> Result<Rotation, Error> {
    let unfinished = ring.unfinished()?;
    let resumed = unfinished.is_some();
    let kek = unfinished.map_or_else(|| ring.rotate(), Ok)?;
    let mut rewrapped = 0;
    loop {
        let (left, all) = keys.outdated(context).await?;
        progress(all - left, all);
        if left == 0 {
            ring.finish(&kek)?;
            return Ok(Rotation { kek, resumed, rewrapped });
        }
        rewrapped += keys.rewrap(context, STEP).await?;
    }
}

/// The key store of a service, opened by a command beside it.
#[derive(Debug)]
pub struct KeyStore {
    db: Db,
    ring: Arc<LocalKeys>,
    keys: PersonKeys,
    context: CallContext,
}

impl KeyStore {
    /// Opens the store; its schema must be this release's.
    ///
    /// # Errors
    /// When the key file or the database cannot be used.
    pub async fn open<M: MigratorTrait>(
        store: Config,
        key_file: &Path,
        service: &str,
        context: CallContext,
    ) -> Result<Self, Error> {
        let ring = Arc::new(LocalKeys::open_or_create(key_file)?);
        let db = Db::connect(store).await?;
        db.check_schema::<M>().await?;
        let keys = PersonKeys::new(&db, Arc::clone(&ring) as _, service);
        Ok(Self { db, ring, keys, context })
    }

    /// Gives every data key another key-encryption key.
    ///
    /// # Errors
    /// As [`rotate`].
    pub async fn rotate(&self, progress: Progress<'_>) -> Result<Rotation, Error> {
        rotate(&self.keys, &self.ring, &self.context, progress).await
    }

    /// Persons whose keys were destroyed: kept outside with each backup.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn erasures(&self) -> Result<Vec<PersonId>, Error> {
        self.keys.erasures(&self.context).await
    }

    /// Destroys the keys of these persons again, after a restore of an older backup.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replay(&self, persons: &[PersonId]) -> Result<(), Error> {
        self.keys.replay_erasures(&self.context, persons).await
    }

    /// Lets the store go.
    pub async fn close(self) {
        self.db.drain(LAST).await;
    }
}
