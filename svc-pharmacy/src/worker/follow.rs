//! Follows the catalogue with the search index. While the engine is away it tries again; nothing else waits for it.

use std::time::Duration;

use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::{CallContext, Deadline};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Error, follow_catalogue};

/// Time that building the index or taking in changes may take.
const ROUND: Duration = Duration::from_secs(600);
/// Between two looks when nobody told of a change: another process may have made one.
const LOOK: Duration = Duration::from_secs(1);
/// Before the engine is tried again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn following(app: App, workload: SpiffeId, stop: CancellationToken) {
    tokio::select! {
        () = follow(&app, &workload) => {}
        () = stop.cancelled() => {}
    }
}

async fn follow(app: &App, workload: &SpiffeId) {
    let mut changes = app.db.feed_changes();
    let mut position = None;
    loop {
        let context = CallContext::for_process(
            workload.clone(),
            "follow_catalogue",
            Purpose::Operations,
            app.ids.uuid(),
            Deadline::after(ROUND),
        );
        let pause = match round(app, &context, &mut position).await {
            Ok(true) => continue,
            Ok(false) => LOOK,
            Err(error) => {
                tracing::warn!(error = %error, "the search index could not follow the catalogue; trying again");
                AGAIN
            }
        };
        drop(tokio::time::timeout(pause, changes.changed()).await);
    }
}

async fn round(app: &App, context: &CallContext, position: &mut Option<i64>) -> Result<bool, Error> {
    let Some(from) = *position else {
        *position = Some(follow_catalogue::begin(app, context).await?);
        return Ok(true);
    };
    let (reached, more) = follow_catalogue::step(app, context, from).await?;
    *position = Some(reached);
    Ok(more)
}
