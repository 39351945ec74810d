//! Takes away what nobody wants any more: uploads that were given up, documents whose time of keeping is
//! over. Every replica of the gateway does it; doing it twice changes nothing. Must not know tickets.

use std::collections::BTreeMap;
use std::time::Duration;

use caremesh_kernel::{Clock, SystemClock, Timestamp};
use tokio::time::sleep;

use super::vault::{Trace, Vault, VaultError};
use crate::config::DocumentsConfig;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// What is taken away, and when.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    every: Duration,
    abandoned_after_ms: i64,
    /// By service and purpose, `svc-pharmacy/prescription`.
    keep_ms: BTreeMap<String, i64>,
}

impl Rules {
    /// Those of a configuration that was checked.
    pub(crate) fn of(config: &DocumentsConfig) -> Self {
        let days = |(kind, days): (&String, &u32)| (kind.clone(), i64::from(*days) * 24 * HOUR_MS);
        Self {
            every: Duration::from_secs(u64::from(config.sweep_every_minutes) * 60),
            abandoned_after_ms: i64::from(config.abandoned_after_hours) * HOUR_MS,
            keep_ms: config.keep_days.iter().map(days).collect(),
        }
    }
}

/// How many documents a sweep took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) abandoned: u64,
    pub(super) outlived: u64,
}

/// Sweeps again and again. Never returns.
pub(crate) async fn keep_swept(vault: Vault, rules: Rules) {
    loop {
        match sweep(&vault, &rules, SystemClock.now()).await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(
                document.abandoned_count = swept.abandoned,
                document.outlived_count = swept.outlived,
                "Documents were taken away."
            ),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Documents could not be swept.");
            }
        }
        sleep(rules.every).await;
    }
}

pub(super) async fn sweep(vault: &Vault, rules: &Rules, now: Timestamp) -> Result<Swept, VaultError> {
    let mut swept = Swept::default();
    let given_up = now.plus_ms(-rules.abandoned_after_ms);
    for mark in vault.marked().await?.into_iter().filter(|it| it.written_at <= given_up) {
        swept.abandoned += u64::from(abandoned(vault, &mark, given_up).await?);
    }
    for (kind, keep_ms) in &rules.keep_ms {
        let over = now.plus_ms(-keep_ms);
        for document in vault.whole(kind).await?.into_iter().filter(|it| it.written_at <= over) {
            vault.remove(&document.place).await?;
            swept.outlived += 1;
        }
    }
    metrics::counter!("caremesh_gateway_documents_removed_total", "why" => "abandoned")
        .increment(swept.abandoned);
    metrics::counter!("caremesh_gateway_documents_removed_total", "why" => "outlived")
        .increment(swept.outlived);
    Ok(swept)
}

/// Looks again at what an old mark points to. True when it was taken away.
async fn abandoned(vault: &Vault, mark: &Trace, given_up: Timestamp) -> Result<bool, VaultError> {
    match vault.look(&mark.place).await? {
        // Its mark outlived a crash.
        (true, _) => vault.unmark(&mark.place).await.map(|()| false),
        // Somebody with a bad line is still sending.
        (false, Some(written_at)) if written_at > given_up => Ok(false),
        (false, _) => vault.remove(&mark.place).await.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
