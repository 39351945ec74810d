//! What svc-policy does without being called, beside what every service does: sweeping expired holds and old
//! idempotency rows, writing down what time did to policies. Each part may be repeated and may run on several replicas.

use std::time::Duration;

use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::{CallContext, Deadline, Lifecycle};
use tokio_util::sync::CancellationToken;

use crate::app::{App, age_policies, sweep_holds, take_back_bonus};

/// Time that one round of sweeping may take.
const ROUND: Duration = Duration::from_secs(30);
/// Idempotency rows that one round removes at most.
const PURGED: u32 = 1_000;

/// Starts the service's own workers; they end when `stop` says so.
pub(crate) fn start(
    app: &App,
    workload: &SpiffeId,
    sweep: Duration,
    stop: CancellationToken,
    life: &Lifecycle,
) {
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
        if let Err(error) = sweep_holds::run(&app, &context("sweep_holds")).await {
            tracing::warn!(error = %error, "expired holds could not be swept; trying again");
        }
        if let Err(error) = age_policies::run(&app, &context("age_policies")).await {
            tracing::warn!(error = %error, "policies could not be aged; trying again");
        }
        if let Err(error) = take_back_bonus::run(&app, &context("take_back_bonus")).await {
            tracing::warn!(error = %error, "spoilt bonuses could not be taken back; trying again");
        }
        if let Err(error) = app.db.purge_idempotency(&context("purge_idempotency"), PURGED).await {
            tracing::warn!(error = %error, "old request ids could not be removed; trying again");
        }
    }
}
