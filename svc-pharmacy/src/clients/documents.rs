//! The store of documents, read only: the gateway writes what people send, this service looks at it. Knows no document by
//! what is in it.

use std::path::Path as Folder;
use std::sync::Arc;

use caremesh_kernel::Uuid;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _};

use super::CallError;

/// Documents of this service lie below this name, each under its id.
const FOLDER: &str = "svc-pharmacy";

/// Documents as the gateway stored them. A cheap clone.
#[derive(Clone, Debug)]
pub struct Documents(Arc<dyn ObjectStore>);

impl Documents {
    /// Those in a folder of this machine.
    ///
    /// # Errors
    /// When the folder is none.
    pub fn in_folder(folder: &Folder) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(std::io::Error::other)?;
        Ok(Self(Arc::new(store)))
    }

    /// The bytes of a document; none when it is not there. At most ten megabytes: no ticket allows more.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when the store does not answer.
    pub async fn read(&self, id: Uuid) -> Result<Option<Vec<u8>>, CallError> {
        let found = match self.0.get(&Path::from(format!("{FOLDER}/{id}"))).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(_) => return Err(CallError::Unavailable),
        };
        let bytes = found.bytes().await.map_err(|_| CallError::Unavailable)?;
        Ok(Some(bytes.to_vec()))
    }
}
