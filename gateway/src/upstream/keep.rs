//! Keeps the connections to a replica open: connect, learn, watch its health, reconnect with backoff.
//! Must not know requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect::{ConnectError, Driver};
use super::learn::{Contract, learn};
use super::replica::Replica;
use super::{Connector, Held, Upstream, health};
use crate::crew::Crew;

/// The first wait after a failure; doubled up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait between two attempts: also the longest an upstream that is back stays unseen.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// A connection that lived this long was a good one: the next failure starts at [`MIN_BACKOFF`].
const STEADY: Duration = Duration::from_secs(10);
/// Between two looks at a connection, which does not tell by itself that it takes no more calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Between two health checks.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);

/// Told about an upstream whenever something changed.
pub(crate) trait Observer: Send + Sync + 'static {
    /// The contract that the upstream serves now.
    fn learned(&self, upstream: &Arc<Upstream>, contract: Contract);
    /// It became reachable and well, or stopped being so.
    fn health_changed(&self, upstream: &Arc<Upstream>);
}

/// What all keepers share.
pub(crate) struct Keeping {
    /// Each connection lives on the thread that uses it.
    pub(crate) crew: Arc<Crew>,
    /// Told of what changes.
    pub(crate) observer: Arc<dyn Observer>,
    /// The keepers themselves.
    pub(crate) tasks: TaskTracker,
    /// Ends them, and what they hold.
    pub(crate) stop: CancellationToken,
}

/// Starts the tasks that keep `replica` connected, until it is gone or everything stops.
pub(crate) fn keep(
    upstream: &Arc<Upstream>,
    replica: &Arc<Replica>,
    connector: &Connector,
    keeping: &Arc<Keeping>,
) {
    for (lane, nth) in replica.slots() {
        let keeper = Keeper {
            upstream: upstream.clone(),
            replica: replica.clone(),
            lane,
            nth,
            connector: connector.clone(),
            observer: keeping.observer.clone(),
        };
        let keeper = keeping.stop.clone().run_until_cancelled_owned(keeper.run());
        keeping.tasks.spawn_on(keeper, keeping.crew.runtime(lane));
    }
}

/// Keeps one slot filled. The first slot also learns the contract and watches the health.
struct Keeper {
    upstream: Arc<Upstream>,
    replica: Arc<Replica>,
    lane: usize,
    nth: usize,
    connector: Connector,
    observer: Arc<dyn Observer>,
}

impl Keeper {
    async fn run(self) {
        let gone = self.replica.gone.clone();
        let mut backoff = self.first_backoff();
        while !gone.is_cancelled() {
            match self.connector.connect(self.replica.address()).await {
                Ok((held, driver)) => {
                    let since = Instant::now();
                    self.hold(held, driver).await;
                    if since.elapsed() >= STEADY {
                        backoff = self.first_backoff();
                    }
                }
                Err(error) => self.report(&error, backoff),
            }
            let _ = gone.run_until_cancelled(sleep(backoff)).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    fn is_first(&self) -> bool {
        self.lane == 0 && self.nth == 0
    }

    /// Slots wait differently, so that they do not knock all at once.
    fn first_backoff(&self) -> Duration {
        let step = u32::try_from(self.lane + self.nth).unwrap_or(u32::MAX).min(10);
        MIN_BACKOFF + MIN_BACKOFF / 4 * step
    }

    fn report(&self, error: &ConnectError, backoff: Duration) {
        // Only the first slot speaks: an outage is one event, not one per connection. While other
        // replicas serve, one that is away is what a rolling restart looks like.
        if self.is_first() && !self.upstream.is_connected() {
            tracing::warn!(
                upstream.name = self.upstream.name(),
                error = %mesh_error(error),
                retry_in_ms = backoff.as_millis(),
                "An upstream cannot be reached."
            );
        }
    }

    /// Serves the slot for as long as calls can be sent. Calls that run may go on over a connection that
    /// takes no more: a stream of an hour must not keep its slot from being filled again.
    async fn hold(&self, held: Held, driver: Driver) {
        let slot = self.replica.slot(self.lane, self.nth);
        slot.store(Some(Arc::new(held.clone())));
        // It ends with its last call once nobody can send over it, and at the latest with its thread.
        tokio::spawn(driver);
        tokio::select! {
            () = closed(&held) => {}
            () = self.watch(held.clone()) => {}
            () = self.replica.gone.cancelled() => {}
        }
        slot.store(None);
        if self.is_first() {
            tracing::info!(upstream.name = self.upstream.name(), "A connection to an upstream has ended.");
            self.tell_health(false);
        }
    }

    /// The first slot's work: learns, then checks the health for as long as the connection lives. Never
    /// returns.
    async fn watch(&self, held: Held) {
        if !self.is_first() {
            drop(held);
            return std::future::pending().await;
        }
        let mut ticks = interval(HEALTH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut learned = false;
        loop {
            ticks.tick().await;
            // A contract that could not be learned is asked for again with the next health check.
            learned = learned || self.learn(held.clone()).await;
            self.tell_health(health::is_serving(held.clone()).await);
        }
    }

    async fn learn(&self, held: Held) -> bool {
        match learn(held).await {
            Ok(contract) => {
                self.observer.learned(&self.upstream, contract);
                true
            }
            Err(error) => {
                tracing::error!(
                    upstream.name = self.upstream.name(),
                    error = %mesh_error(&error),
                    "The contract of an upstream could not be learned."
                );
                false
            }
        }
    }

    fn tell_health(&self, healthy: bool) {
        if self.replica.set_serving(healthy) {
            self.observer.health_changed(&self.upstream);
        }
    }
}

async fn closed(held: &Held) {
    while held.is_open() {
        sleep(LOOK_INTERVAL).await;
    }
}

/// An error with its causes on one line. Transport errors name hosts and codes, never data.
fn mesh_error(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
