//! ListEvents: this service's feed, pulled with a cursor.

use caremesh_db::feed::FeedEvent;
use caremesh_mesh::CallContext;

use super::{App, Error};

/// The events after a cursor, oldest first.
///
/// # Errors
/// [`Error::Cursor`] for a cursor that this feed did not give.
pub async fn run(
    app: &App,
    context: &CallContext,
    cursor: &str,
    limit: u32,
) -> Result<Vec<FeedEvent>, Error> {
    app.db.list_events_after(context, cursor, limit).await?.ok_or(Error::Cursor)
}
