//! What svc-pharmacy does without being called, beside what every service does: following its catalogue, going on with
//! processes, sweeping what has expired and old idempotency rows. Each part may be repeated and may run on several replicas.

mod follow;

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::process::{Flow, Runner};
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::{CallContext, Deadline, Lifecycle};
use tokio_util::sync::CancellationToken;

use crate::app::{App, order, stock};

/// Time that one round of sweeping may take.
const ROUND: Duration = Duration::from_secs(30);
/// Idempotency rows that one round removes at most.
const PURGED: u32 = 1_000;

/// Starts the service's own workers; they end when `stop` says so.
pub(crate) fn start(
    app: &App,
    workload: &SpiffeId,
    flows: Vec<Arc<dyn Flow>>,
    sweep: Duration,
    stop: CancellationToken,
    life: &Lifecycle,
) {
    life.spawn(follow::following(app.clone(), workload.clone(), stop.clone()));
    let runner = Runner::new(&app.db, workload.clone(), flows);
    let until = stop.clone();
    life.spawn(async move { runner.run(until).await });
    life.spawn(sweeping(app.clone(), workload.clone(), sweep, stop));
}

async fn sweeping(app: App, workload: SpiffeId, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
        let context = |name| {
            CallContext::for_process(
                workload.clone(),
                name,
                Purpose::Operations,
                app.ids.uuid(),
                Deadline::after(ROUND),
            )
        };
        if let Err(error) = stock::sweep(&app, &context("sweep_reservations")).await {
            tracing::warn!(error = %error, "expired reservations could not be swept; trying again");
        }
        if let Err(error) = order::expire_due(&app, &context("expire_orders")).await {
            tracing::warn!(error = %error, "orders whose time is over could not be closed; trying again");
        }
        if let Err(error) = app.db.purge_idempotency(&context("purge_idempotency"), PURGED).await {
            tracing::warn!(error = %error, "old request ids could not be removed; trying again");
        }
    }
}
