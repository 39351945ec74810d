//! Keeps an upstream's connections open: connect, learn, watch its health, reconnect with backoff.
//! Must not know requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect::{ConnectError, Driver};
use super::learn::{Contract, learn};
use super::{Connector, Held, Upstream, health};

/// The first wait after a failure; doubled up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait between two attempts: also the longest an upstream that is back stays unseen.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// A connection that lived this long was a good one: the next failure starts at [`MIN_BACKOFF`].
const STEADY: Duration = Duration::from_secs(10);
/// Between two health checks.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);

/// Told about an upstream whenever something changed.
pub(crate) trait Observer: Send + Sync + 'static {
    /// The contract that the upstream serves now.
    fn learned(&self, upstream: &Arc<Upstream>, contract: Contract);
    /// It became reachable and well, or stopped being so.
    fn health_changed(&self, upstream: &Arc<Upstream>);
}

/// Starts the tasks that keep `upstream` connected until `stop`.
pub(crate) fn keep(
    upstream: &Arc<Upstream>,
    connector: &Connector,
    observer: &Arc<dyn Observer>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    for slot in 0..upstream.slots.len() {
        let keeper = Keeper {
            upstream: upstream.clone(),
            slot,
            connector: connector.clone(),
            observer: observer.clone(),
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(keeper.run()));
    }
}

/// Keeps one slot filled. The first slot also learns the contract and watches the health.
struct Keeper {
    upstream: Arc<Upstream>,
    slot: usize,
    connector: Connector,
    observer: Arc<dyn Observer>,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = self.first_backoff();
        loop {
            match self.connector.connect().await {
                Ok((held, driver)) => {
                    let since = Instant::now();
                    self.hold(held, driver).await;
                    if since.elapsed() >= STEADY {
                        backoff = self.first_backoff();
                    }
                }
                Err(error) => self.report(&error, backoff),
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Slots wait differently, so that they do not knock all at once.
    fn first_backoff(&self) -> Duration {
        let step = u32::try_from(self.slot).unwrap_or(u32::MAX).min(10);
        MIN_BACKOFF + MIN_BACKOFF / 4 * step
    }

    fn report(&self, error: &ConnectError, backoff: Duration) {
        // Only the first slot speaks: an outage is one event, not one per connection.
        if self.slot == 0 {
            tracing::warn!(
                upstream.name = self.upstream.name(),
                error = %mesh_error(error),
                retry_in_ms = backoff.as_millis(),
                "An upstream cannot be reached."
            );
        }
    }

    /// Serves the slot until the connection ends.
    async fn hold(&self, held: Held, mut driver: Driver) {
        self.upstream.slots[self.slot].store(Some(Arc::new(held.clone())));
        if self.slot == 0 {
            tokio::select! {
                _ = &mut driver => {}
                () = self.watch(held) => {}
            }
        } else {
            let _ = driver.await;
        }
        self.upstream.slots[self.slot].store(None);
        if self.slot == 0 {
            tracing::warn!(upstream.name = self.upstream.name(), "An upstream closed its connection.");
            self.tell_health(false);
        }
    }

    /// Learns, then checks the health for as long as the connection lives. Never returns.
    async fn watch(&self, held: Held) {
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
        let before = self.upstream.healthy.swap(healthy, std::sync::atomic::Ordering::Relaxed);
        if before != healthy {
            self.observer.health_changed(&self.upstream);
        }
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
