//! What every long-running command needs: a runtime, telemetry, and a life that signals end.
//! Must not know what runs.

use std::future::Future;

use anyhow::{Context, Result};
use caremesh_mesh::catch_panic::log_panics_without_text;
use caremesh_mesh::lifecycle::Lifecycle;
use caremesh_mesh::telemetry::{Telemetry, TelemetryConfig, init, init_to};
use tokio_util::sync::CancellationToken;

use crate::exit::{Failure, OrFail};

/// Where log lines go.
pub enum Logs {
    /// To stdout, for a collector: nothing else is written there.
    Stdout,
    /// To stderr, beside what a person reads on stdout.
    Stderr,
}

/// Runs a command with telemetry until it ends; then sends the last spans, whatever the outcome.
///
/// # Errors
/// With the command's own failure, or because telemetry cannot be set up.
pub fn run<F: Future<Output = Result<(), Failure>>>(
    telemetry: &TelemetryConfig,
    name: &str,
    logs: Logs,
    command: impl FnOnce(Telemetries) -> F,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
        .or_environment()?;
    runtime.block_on(async {
        let started = match logs {
            Logs::Stdout => init(telemetry, name),
            Logs::Stderr => init_to(telemetry, name, std::io::stderr),
        };
        let started = started.or_settings()?;
        log_panics_without_text();
        let metrics = started.metrics();
        let outcome = command(Telemetries { metrics }).await;
        Telemetry::shutdown(started).await;
        outcome
    })
}

/// What a running component needs of the telemetry.
pub struct Telemetries {
    /// The process's metrics.
    pub metrics: caremesh_mesh::telemetry::Metrics,
}

/// A life that the first SIGTERM or SIGINT ends softly and the second one hard.
///
/// # Errors
/// When the system gives no signals.
pub fn life() -> Result<Lifecycle> {
    let life = Lifecycle::new();
    life.end_on_signals().context("signals cannot be caught")?;
    Ok(life)
}

/// Cancelled when the life begins to end.
#[must_use]
pub fn ending(life: &Lifecycle) -> CancellationToken {
    let token = CancellationToken::new();
    let (ending, ended) = (life.ending(), token.clone());
    tokio::spawn(async move {
        ending.await;
        ended.cancel();
    });
    token
}
