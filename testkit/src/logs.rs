//! Captures log lines in memory, and starts a test process's telemetry with them. Must not know what is
//! logged.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use caremesh_mesh::telemetry::{Telemetry, TelemetryConfig, TelemetryError, init_to};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// Log lines in memory. A cheap clone; clones share the lines.
#[derive(Debug, Clone, Default)]
pub struct CapturedLogs(Arc<Mutex<Vec<u8>>>);

impl CapturedLogs {
    /// Starts the process's telemetry with log lines going here. Once per test process.
    ///
    /// # Errors
    /// As [`init_to`].
    pub fn start(config: &TelemetryConfig, process: &str) -> Result<(Self, Telemetry), TelemetryError> {
        let logs = Self::default();
        let telemetry = init_to(config, process, logs.clone())?;
        Ok((logs, telemetry))
    }

    /// Everything so far, as written.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    /// Every line so far, read as JSON.
    ///
    /// # Panics
    /// When a line is not JSON: a log that a collector cannot read.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for CapturedLogs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLogs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
