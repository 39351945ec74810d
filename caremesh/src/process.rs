//! What every long-running command needs: a runtime, telemetry, the signals that end it.
//! Must not know what runs.

use std::future::Future;

use anyhow::{Context, Result};
use caremesh_mesh::telemetry::{Telemetry, TelemetryConfig, init, init_to};
use tokio::signal::unix::{SignalKind, signal};
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

/// Cancelled by the first SIGTERM or SIGINT. A second one is not waited for: it ends the process at once.
///
/// # Errors
/// When the system gives no signals.
pub fn shutdown_signal() -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        tracing::info!("Stopping: running calls may end.");
        asked.cancel();
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        std::process::exit(SECOND_SIGNAL);
    });
    Ok(token)
}

/// 128 + SIGINT, as shells expect.
const SECOND_SIGNAL: i32 = 130;
