//! Health out of real dependencies: probes run on a period, and what they find is served over gRPC and
//! the admin port. Liveness never depends on a dependency, or an orchestrator restarts what a database
//! outage only made wait. It must not know what a probe asks.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

use crate::config::HealthConfig;
use crate::lifecycle::Lifecycle;

/// Asks one dependency whether it is there.
pub trait Probe: Send + Sync + 'static {
    /// What is asked, `database`: for operators.
    fn name(&self) -> &str;

    /// Whether it answers. Too slow counts as no.
    fn is_up(&self) -> BoxFuture<'_, bool>;
}

/// What the probes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Calls can be served.
    pub ready: bool,
    /// Dependencies that do not answer.
    pub down: Vec<String>,
    /// The end has begun.
    pub draining: bool,
}

/// A server's health. A cheap clone.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    /// Names under which readiness is reported: all, `readiness`, and each service.
    ready_names: Arc<[String]>,
    state: Arc<watch::Sender<Readiness>>,
}

/// Watched by orchestrators that want to know whether to restart.
const LIVENESS: &str = "liveness";
/// Watched by load balancers that want to know whether to send calls.
const READINESS: &str = "readiness";

impl Health {
    /// Not ready until the first round of probes has found everything up.
    pub async fn of(services: &[String]) -> Self {
        let names = [String::new(), READINESS.to_owned()].into_iter().chain(services.iter().cloned());
        let health = Self {
            reporter: HealthReporter::new(),
            ready_names: names.collect(),
            state: Arc::new(watch::channel(Readiness::default()).0),
        };
        health.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        health.report(false).await;
        health
    }

    /// The gRPC health service that tells it.
    #[must_use]
    pub fn service(&self) -> HealthService {
        HealthService::from_health_reporter(self.reporter.clone())
    }

    /// What is known now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.state.borrow().clone()
    }

    /// Follows what is known.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Readiness> {
        self.state.subscribe()
    }

    /// Says that the end has begun; no probe makes it ready again.
    pub async fn drain(&self) {
        self.state.send_modify(|state| {
            state.draining = true;
            state.ready = false;
        });
        self.report(false).await;
    }

    /// Runs all probes, one round after the other, until the end begins.
    pub async fn probe(self, probes: Vec<Arc<dyn Probe>>, config: HealthConfig, life: Lifecycle) {
        let period = Duration::from_millis(config.period_ms);
        let limit = Duration::from_millis(config.timeout_ms);
        while !life.is_ending() {
            let down = ask(&probes, limit).await;
            self.found(down).await;
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = life.ending() => return,
            }
        }
    }

    async fn found(&self, down: Vec<String>) {
        let ready = down.is_empty();
        let changed = self.state.send_if_modified(|state| {
            let next = Readiness { ready: ready && !state.draining, down, draining: state.draining };
            let changed = *state != next;
            *state = next;
            changed
        });
        if changed {
            let Readiness { ready, down, draining } = self.readiness();
            tracing::info!(health.ready = ready, health.down = down.join(","), "readiness has changed");
            self.report(ready && !draining).await;
        }
    }

    async fn report(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in &*self.ready_names {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Names of the probes that do not answer in time. All are asked at once: one slow dependency must not
/// hide another.
async fn ask(probes: &[Arc<dyn Probe>], limit: Duration) -> Vec<String> {
    let asked = probes.iter().map(|probe| async move {
        let up = tokio::time::timeout(limit, probe.is_up()).await.unwrap_or(false);
        (!up).then(|| probe.name().to_owned())
    });
    join_all(asked).await.into_iter().flatten().collect()
}
