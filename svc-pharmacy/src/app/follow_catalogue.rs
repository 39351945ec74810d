//! Keeps the search index at the catalogue: what changed is read from the feed of this service's own outbox and taken in with
//! its version; an index that is empty or of other settings is built anew beside the old one and swapped. GetIndexStatus.

use std::sync::Arc;

use caremesh_db::feed::FeedEvent;
use caremesh_kernel::{ProductBatchId, ProductId};
use caremesh_mesh::CallContext;
use caremesh_proto::pharmacy::v1::Event;
use prost::Message as _;

use super::catalogue_entry::document;
use super::{App, Error, catalogue_events};
use crate::domain::product::Catalogued;
use crate::search::index::{Document, IndexError, IndexStatus, Rebuild};
use crate::search::quiet::quietly;
use crate::store::product;

/// Products read at once when the index is built.
const PAGE: u32 = 2_000;
/// Batches of changes taken in together: some ten thousand products.
const BATCHES: usize = 10;
/// Events read at once.
const EVENTS: u32 = 1_000;

/// How the index stands to the catalogue.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Name of the engine.
    pub engine: &'static str,
    /// The index.
    pub index: IndexStatus,
    /// Changes of the catalogue that it has not taken in.
    pub pending: usize,
}

/// Tells how the index stands; that of a name only, if one is given.
///
/// # Errors
/// [`Error::NotFound`] when another index is in use; [`Error::Search`] when the engine is away.
pub(crate) async fn status(app: &App, context: &CallContext, name: &str) -> Result<Standing, Error> {
    let index = app.search.index().status().await?;
    if !name.is_empty() && name != index.name {
        return Err(Error::NotFound);
    }
    let pending = app.db.list_events(context, index.position, EVENTS).await?;
    let pending = pending.iter().filter(|event| batch(event).is_some()).count();
    Ok(Standing { engine: app.search.index().engine(), index, pending })
}

/// Learns the words of the catalogue, and builds the index if it has nothing. Gives the place in the feed to go on from.
///
/// # Errors
/// [`Error::Store`], [`Error::Search`].
pub(crate) async fn begin(app: &App, context: &CallContext) -> Result<i64, Error> {
    let status = app.search.index().status().await?;
    let end = end_of_feed(app, context, status.position).await?;
    let mut building = if status.documents == 0 { Some(app.search.index().rebuild().await?) } else { None };
    let mut after: Option<ProductId> = None;
    let mut any = false;
    loop {
        let rows = product::all_after(&app.db.read(context), after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.product.id());
        any = true;
        let search = Arc::clone(&app.search);
        let documents = quietly(move || {
            let documents: Vec<Document> = rows.iter().map(document).collect();
            search.learn(&documents);
            documents
        });
        let documents = documents.await.ok_or_else(broke_off)?;
        if let Some(building) = &mut building {
            building.add(documents).await?;
        }
    }
    match building {
        Some(building) if any => swap(building, end).await,
        _ => Ok(status.position),
    }
}

async fn swap(building: Box<dyn Rebuild>, position: i64) -> Result<i64, Error> {
    building.swap(position).await?;
    Ok(position)
}

/// Takes in what the feed tells after `position`; the place reached, and whether there may be more.
///
/// # Errors
/// [`Error::Store`], [`Error::Search`]; then the same changes are taken in next time.
pub(crate) async fn step(app: &App, context: &CallContext, position: i64) -> Result<(i64, bool), Error> {
    let told = app.db.list_events(context, position, EVENTS).await?;
    let (mut reached, mut batches): (i64, Vec<ProductBatchId>) = (position, Vec::new());
    let mut oldest = None;
    for event in &told {
        if let Some(batch) = batch(event) {
            if batches.len() == BATCHES {
                break;
            }
            batches.push(batch);
            oldest = oldest.or(Some(event.at));
        }
        reached = event.position;
    }
    let lag =
        oldest.map_or(0, |at| app.clock.now().as_micros().saturating_sub(at.as_micros()).max(0) / 1_000);
    measure(lag, batches.len());
    if !batches.is_empty() {
        let mut documents = Vec::new();
        for batch in batches {
            // One at a time: a batch is read in a moment, and others that wait for this thread have their turn between.
            let rows = product::of_batch(&app.db.read(context), batch).await?;
            documents.extend(of(rows).await?);
        }
        app.search.put(documents, reached).await?;
        measure(0, 0);
    }
    Ok((reached, reached != position))
}

/// What is indexed of rows; read from them while others are served.
async fn of(rows: Vec<Catalogued>) -> Result<Vec<Document>, Error> {
    Ok(quietly(move || rows.iter().map(document).collect()).await.ok_or_else(broke_off)?)
}

fn broke_off() -> IndexError {
    IndexError::Failed("products could not be read".to_owned())
}

fn measure(lag_ms: i64, pending: usize) {
    let whole = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    metrics::gauge!("caremesh_pharmacy_index_lag_milliseconds").set(whole(lag_ms));
    metrics::gauge!("caremesh_pharmacy_index_pending_changes")
        .set(u32::try_from(pending).unwrap_or(u32::MAX));
}

async fn end_of_feed(app: &App, context: &CallContext, from: i64) -> Result<i64, Error> {
    let mut position = from;
    while let Some(last) = app.db.list_events(context, position, EVENTS).await?.last() {
        position = last.position;
    }
    Ok(position)
}

/// The batch that an event tells of, if it tells of products.
fn batch(event: &FeedEvent) -> Option<ProductBatchId> {
    if event.event_type != catalogue_events::PRODUCTS_CHANGED {
        return None;
    }
    Event::decode(event.payload.as_slice()).ok()?.resource_id.parse().ok()
}
