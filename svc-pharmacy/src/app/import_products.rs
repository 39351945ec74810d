//! ImportProducts: enters or updates products, a batch in one transaction. What is as it was stays untouched, so that the
//! same batch can come again. The index learns of it from the feed.

use std::collections::HashSet;
use std::sync::Arc;

use caremesh_db::{Db, Replay, Tx};
use caremesh_kernel::ProductBatchId;
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::catalogue_entry::entry;
use super::{App, Error, Once, catalogue_events};
use crate::domain::product::{Product, RowRefusal};
use crate::store::product::{self, Entry};

/// What became of the rows of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// New products.
    pub created: u32,
    /// Products that changed.
    pub updated: u32,
    /// Products that were so already.
    pub unchanged: u32,
    /// Rows that are no product, by their place, from 0.
    pub skipped: Vec<(usize, RowRefusal)>,
}

/// Enters rows, once per request_id. A row that is no product is skipped and told.
///
/// # Errors
/// [`Error::Store`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Entered, T>,
    rows: Vec<Result<Product, RowRefusal>>,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (entries, skipped) = sorted_out(rows);
    let (entries, once) = (Arc::new(entries), Arc::new(once));
    let of_work = Arc::clone(&once);
    let answered = app.db.idempotent(
        context,
        &once.request_id,
        &once.request,
        move |tx| {
            let (entries, once, skipped) = (Arc::clone(&entries), Arc::clone(&of_work), skipped.clone());
            Box::pin(async move {
                let (batch, written) = enter_in(tx, &entries).await?;
                let answered = once.answered(batch, 1, &Entered { skipped, ..written });
                tx.answer(&answered)?;
                Ok(answered)
            })
        },
        replayed,
    );
    answered.await
}

/// Enters rows without a request: a batch of a file that is imported.
pub(crate) async fn enter(
    db: &Db,
    context: &CallContext,
    rows: Vec<Result<Product, RowRefusal>>,
) -> Result<Entered, Error> {
    let (entries, skipped) = sorted_out(rows);
    let entries = Arc::new(entries);
    let written: Result<Entered, Error> = db
        .write(context, move |tx| {
            let entries = Arc::clone(&entries);
            Box::pin(async move { Ok(enter_in(tx, &entries).await?.1) })
        })
        .await;
    Ok(Entered { skipped, ..written? })
}

type Skipped = Vec<(usize, RowRefusal)>;

fn sorted_out(rows: Vec<Result<Product, RowRefusal>>) -> (Vec<Entry>, Skipped) {
    let (mut entries, mut skipped, mut codes) = (Vec::with_capacity(rows.len()), Vec::new(), HashSet::new());
    for (place, row) in rows.into_iter().enumerate() {
        match row.and_then(Product::accepted) {
            Ok(product) if codes.insert(product.code.clone()) => entries.push(entry(product)),
            Ok(_) => skipped.push((place, RowRefusal::CodeRepeated)),
            Err(refusal) => skipped.push((place, refusal)),
        }
    }
    (entries, skipped)
}

async fn enter_in(tx: &Tx, entries: &[Entry]) -> Result<(ProductBatchId, Entered), Error> {
    let batch = ProductBatchId::from_uuid(tx.uuid());
    let ids: Vec<_> = entries.iter().map(|entry| entry.product.id()).collect();
    let known = product::digests_in(tx, &ids).await?;
    let mut entered = Entered::default();
    let mut changed = Vec::new();
    for entry in entries {
        match known.get(&entry.product.id().to_string()) {
            Some(digest) if *digest == entry.digest => {
                entered.unchanged += 1;
                continue;
            }
            Some(_) => entered.updated += 1,
            None => entered.created += 1,
        }
        changed.push(entry.clone());
    }
    if !changed.is_empty() {
        tx.emit([catalogue_events::products_changed(batch, tx.now())]);
        tx.apply(product::upsert(tx, &changed, batch)).await?;
    }
    Ok((batch, entered))
}

fn replayed(_: &CallContext, _: Replay) -> BoxFuture<'_, Result<(), Error>> {
    Box::pin(async { Ok(()) })
}
