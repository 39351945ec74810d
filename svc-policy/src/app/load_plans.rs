//! Publishes the plan versions of the files at start. A version that was published once never changes (INV-P4): a file
//! whose content differs from what was published under its code and label is refused, and the service does not start.

use std::sync::Arc;

use caremesh_db::{Db, Error as DbError, Tx};
use caremesh_mesh::CallContext;

use crate::domain::plan::Catalogue;
use crate::store::plan::{self, ChangedPlan};

/// Why plans are not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A published version has other content now.
    #[error(transparent)]
    Changed(#[from] ChangedPlan),
    /// The store failed.
    #[error("plan versions could not be stored")]
    Store(#[from] DbError),
}

/// Compares every version with what was published and publishes the new ones, all or none.
///
/// # Errors
/// [`LoadError`].
pub async fn run(db: &Db, context: &CallContext, plans: &Arc<Catalogue>) -> Result<(), LoadError> {
    let plans = Arc::clone(plans);
    db.write(context, move |tx| {
        let plans = Arc::clone(&plans);
        Box::pin(async move { publish(tx, &plans).await })
    })
    .await
}

async fn publish(tx: &Tx, plans: &Catalogue) -> Result<(), LoadError> {
    let published = plan::digests(tx).await?;
    let mut fresh = Vec::new();
    for version in plans.versions() {
        let found = version.content_digest();
        match published.get(&version.id().to_string()) {
            None => fresh.push(version),
            Some(digest) if *digest == found => {}
            Some(digest) => {
                let (code, label) = (version.code.clone(), version.label.clone());
                return Err(ChangedPlan { code, label, published: digest.clone(), found }.into());
            }
        }
    }
    tx.apply(plan::publish(tx, &fresh)?).await?;
    Ok(())
}
