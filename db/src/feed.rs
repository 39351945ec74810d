//! The feed of a service: its outbox in an order that everybody sees alike, read with a cursor. At least once, in the
//! order of revisions per key. Must not know what events mean.
//!
//! Outbox rows do not become visible in the order of their ids: a transaction that began earlier may commit later. A reader
//! that went by ids would step over it. So the relay gives places after the commit, one relay at a time.

mod consumer;
mod relay;

use caremesh_kernel::{EpisodeId, OutboxEventId, Timestamp};
use caremesh_mesh::CallContext;
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use tokio::sync::watch;

use crate::{Db, Error};

pub use consumer::{Consumer, DeadLetter, Received};
pub use relay::Relay;

/// An event as the feed gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its place in the feed of this service: rises, has no two events, may skip numbers.
    pub position: i64,
    /// Id of the event, the same each time it is told.
    pub id: OutboxEventId,
    /// Name of the event.
    pub event_type: String,
    /// Id of the record it is about.
    pub ordering_key: String,
    /// Version of that record after the change.
    pub revision: i64,
    /// The encoded protobuf message.
    pub payload: Vec<u8>,
    /// W3C `traceparent` of the call that caused it.
    pub trace_parent: Option<String>,
    /// The care episode of that call.
    pub episode: Option<EpisodeId>,
    /// When it was written.
    pub at: Timestamp,
}

/// Most events one call of [`Db::list_events`] gives.
pub const MAX_EVENTS: u32 = 1_000;
/// Events of one call that asks for no number in particular.
const DEFAULT_EVENTS: u32 = 100;

const LIST: &str = "SELECT position, id, event_type, ordering_key, revision, payload, trace_parent, episode, created_at \
     FROM outbox WHERE position > $1 ORDER BY position LIMIT $2";

impl Db {
    /// Events after `cursor` (0 for the beginning), at most `limit`, coerced to 1..=[`MAX_EVENTS`]. The next cursor is the
    /// position of the last one; none means that the reader has caught up.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_events(
        &self,
        context: &CallContext,
        cursor: i64,
        limit: u32,
    ) -> Result<Vec<FeedEvent>, Error> {
        let limit = i64::from(limit.clamp(1, MAX_EVENTS));
        let values = [cursor.into(), limit.into()];
        let statement = Statement::from_sql_and_values(self.kind().backend(), LIST, values);
        let rows = self.read(context).query_all_raw(statement).await?;
        rows.iter().map(event).collect()
    }

    /// The same for a cursor as a caller sends it: empty for the beginning, and 0 for as many as are given when the caller
    /// asks for no number in particular. None: this feed did not give the cursor.
    ///
    /// # Errors
    /// As [`Db::list_events`].
    pub async fn list_events_after(
        &self,
        context: &CallContext,
        cursor: &str,
        limit: u32,
    ) -> Result<Option<Vec<FeedEvent>>, Error> {
        let place = if cursor.is_empty() { Some(0) } else { cursor.parse().ok().filter(|place| *place >= 0) };
        let Some(place) = place else { return Ok(None) };
        let limit = if limit == 0 { DEFAULT_EVENTS } else { limit };
        self.list_events(context, place, limit).await.map(Some)
    }

    /// Changes whenever this process learns that the feed has grown: wait on it instead of asking in a loop. It may also
    /// change for nothing, and misses what other processes place unless [`Relay::listen`] runs.
    #[must_use]
    pub fn feed_changes(&self) -> watch::Receiver<i64> {
        self.inner.feed.subscribe()
    }
}

fn event(row: &QueryResult) -> Result<FeedEvent, Error> {
    let id: String = row.try_get_by_index(1)?;
    let episode: Option<String> = row.try_get_by_index(7)?;
    Ok(FeedEvent {
        position: row.try_get_by_index(0)?,
        id: id.parse().map_err(|_| Error::Corrupt("id of an outbox event"))?,
        event_type: row.try_get_by_index(2)?,
        ordering_key: row.try_get_by_index(3)?,
        revision: row.try_get_by_index(4)?,
        payload: row.try_get_by_index(5)?,
        trace_parent: row.try_get_by_index(6)?,
        episode: episode
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Error::Corrupt("episode of an event"))?,
        at: Timestamp::from_micros(row.try_get_by_index(8)?),
    })
}
