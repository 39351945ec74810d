//! ListEvents: this service's feed, pulled with a cursor.

use caremesh_db::feed::FeedEvent;
use caremesh_mesh::CallContext;

use super::{App, Error};

/// Events when the caller asks for none in particular.
const DEFAULT_LIMIT: u32 = 100;

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
    let after = if cursor.is_empty() { 0 } else { cursor.parse().map_err(|_| Error::Cursor)? };
    if after < 0 {
        return Err(Error::Cursor);
    }
    let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
    Ok(app.db.list_events(context, after, limit).await?)
}
