//! Renews the certificates that a machine's own authority signs, long before they expire, while the process
//! runs. Connections stay as they are; the next handshake shows the new certificate. Must not know what serves.

use std::{sync::Arc, time::Duration};

use caremesh_kernel::Clock;
use tokio::time::{MissedTickBehavior, interval};

use super::{LocalCa, TlsError, WorkloadIdentity};

/// How often it is looked whether a certificate is due. Looking beats one long sleep: the clock that sleeps stands
/// still while a laptop does.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// An authority that goes on signing for the workloads it was asked for.
#[derive(Clone)]
pub struct Renewing {
    authority: Arc<LocalCa>,
    clock: Arc<dyn Clock>,
    look_every: Duration,
}

impl Renewing {
    /// Renews what `authority` signs, by `clock`; looks every hour.
    #[must_use]
    pub fn new(authority: Arc<LocalCa>, clock: Arc<dyn Clock>) -> Self {
        Self { authority, clock, look_every: LOOK_EVERY }
    }

    /// As [`Renewing::new`], looking so often.
    #[must_use]
    pub fn looking_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    /// An identity for `service` whose certificate is renewed for as long as the runtime lives.
    ///
    /// # Errors
    /// As [`LocalCa::issue`].
    pub fn workload(&self, service: &str) -> Result<WorkloadIdentity, TlsError> {
        let workload = WorkloadIdentity::new(self.authority.issue(service, &*self.clock)?)?;
        tokio::spawn(self.clone().keep(workload.clone()));
        Ok(workload)
    }

    async fn keep(self, workload: WorkloadIdentity) {
        let mut ticks = interval(self.look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.renew_if_due(&workload) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "a certificate could not be renewed; it is tried again within the hour"
                );
            }
        }
    }

    /// Due when a third of its life is left: time for many tries, and for somebody to see the log.
    fn renew_if_due(&self, workload: &WorkloadIdentity) -> Result<(), TlsError> {
        let (from, until) = workload.validity();
        let now = self.clock.now();
        if now < until.plus_ms(-(until.as_micros() - from.as_micros()) / 3_000) {
            return Ok(());
        }
        workload.replace(self.authority.issue(workload.id().service(), &*self.clock)?)?;
        tracing::info!(workload.name = workload.id().service(), "a certificate was renewed");
        Ok(())
    }
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Renewing").field(&self.authority).finish()
    }
}
