//! Starts a process's telemetry: one subscriber, one recorder, one exporter. The exporter has a runtime
//! of its own: on a server's runtime it would deadlock at shutdown when that has one worker, and its
//! traffic would compete with calls.

use std::{io, path::PathBuf, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
};

use super::{
    collector,
    logs::Lines,
    metrics::{CLIENT_DURATION, SERVER_DURATION},
    sampling::{Admitted, ScopeIds, ScopeSampler, keep_per_million},
};
use crate::tls::TlsError;

/// Seconds. From a cached read to the longest deadline, as OpenTelemetry's RPC conventions say.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const UPKEEP: Duration = Duration::from_secs(5);
/// Longest that the last spans may take to leave at shutdown.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// Longest that one batch of spans may take to be accepted.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// What operators get to see.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Levels by target, `warn,caremesh=info`. Targets of other crates are prefixes of module paths.
    pub log: String,
    /// JSON unless a person reads along.
    pub log_format: LogFormat,
    /// Where spans go, OTLP over gRPC, `http://collector:4317` or `https://…`. None: no span is made.
    pub otlp_endpoint: Option<String>,
    /// Roots for `https` beyond the public ones, PEM.
    pub otlp_roots: Option<PathBuf>,
    /// Share of traces kept that start here, in millionths (0 to 1 000 000). A caller's decision is
    /// followed instead where there is one.
    pub sample_per_million: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "warn,caremesh=info".to_owned(),
            log_format: LogFormat::Json,
            otlp_endpoint: None,
            otlp_roots: None,
            sample_per_million: 10_000,
        }
    }
}

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log` is no list of levels by target.
    #[error("telemetry.log `{0}` is not a list of `target=level`")]
    LogFilter(String),
    /// `sample_per_million` is above a million.
    #[error("telemetry.sample_per_million {0} must be at most 1000000")]
    Share(u32),
    /// The collector's address is none.
    #[error("telemetry.otlp_endpoint `{0}` is not http://host:port or https://host:port")]
    Endpoint(String),
    /// The roots for the collector cannot be used.
    #[error("telemetry.otlp_roots: {0}")]
    Tls(#[from] TlsError),
    /// The exporter cannot be made.
    #[error("telemetry.otlp_endpoint cannot be exported to")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The exporter's own thread could not be started.
    #[error("the exporter's thread could not be started")]
    Thread(#[from] io::Error),
    /// Telemetry is started once per process.
    #[error("telemetry is running already in this process")]
    Twice,
}

/// Renders the process's metrics for Prometheus. A cheap clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// All series in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// A process's running telemetry. Keep it until the end and call [`Telemetry::shutdown`], or the last
/// spans are lost.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    provider: Option<SdkTracerProvider>,
    runtime: Option<Runtime>,
}

/// Starts telemetry for the process called `process` (`svc-policy`, `caremesh`), logging to standard output.
///
/// # Errors
/// On a bad configuration, and when called twice.
pub fn init(config: &TelemetryConfig, process: &str) -> Result<Telemetry, TelemetryError> {
    init_to(config, process, io::stdout)
}

/// As [`init`], with log lines to `writer`.
///
/// # Errors
/// As [`init`].
pub fn init_to<W>(config: &TelemetryConfig, process: &str, writer: W) -> Result<Telemetry, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    if config.sample_per_million > 1_000_000 {
        return Err(TelemetryError::Share(config.sample_per_million));
    }
    let filter = log_filter(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()?;
    let provider = exporter(config, process, &runtime)?;
    let lines = Lines { json: config.log_format == LogFormat::Json, process: process.to_owned() };
    let logs = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_writer(writer)
        .with_filter(filter.clone().and(filter_fn(|metadata| metadata.is_event())));
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("caremesh"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // Events never become part of a span: their fields are meant for the log.
            .with_filter(filter_fn(|metadata| metadata.is_span()))
    });
    let subscriber = Registry::default().with(spans).with(logs).with(Admitted { logged: filter });
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    // Without an exporter no trace is kept, whatever the share: spans would be made for nobody.
    keep_per_million(if provider.is_some() { config.sample_per_million } else { 0 });
    Ok(Telemetry { metrics: recorder(&runtime)?, provider, runtime: Some(runtime) })
}

/// Text of statements must never be logged: sqlx does so for slow ones.
fn log_filter(text: &str) -> Result<Targets, TelemetryError> {
    let targets: Targets = text.parse().map_err(|_| TelemetryError::LogFilter(text.to_owned()))?;
    Ok(targets.with_target("sqlx", LevelFilter::OFF).with_target("sea_orm", LevelFilter::OFF))
}

fn exporter(
    config: &TelemetryConfig,
    process: &str,
    runtime: &Runtime,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    // The exporter connects lazily, on the runtime it was built in.
    let _inside = runtime.enter();
    let channel = collector::channel(endpoint, config.otlp_roots.as_deref())?;
    let exporter =
        SpanExporter::builder().with_tonic().with_channel(channel).with_timeout(EXPORT_LIMIT).build()?;
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", process.to_owned()),
            KeyValue::new("service.namespace", "caremesh"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(ScopeSampler)
        .with_id_generator(ScopeIds::default())
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

fn recorder(runtime: &Runtime) -> Result<Metrics, TelemetryError> {
    let mut builder = PrometheusBuilder::new();
    for metric in [SERVER_DURATION, CLIENT_DURATION] {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.to_owned()), &BUCKETS)
            .map_err(|_| TelemetryError::Twice)?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice)?;
    let upkept = handle.clone();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkept.run_upkeep();
        }
    });
    Ok(Metrics(handle))
}

impl Telemetry {
    /// The process's metrics, for the admin port.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Sends what is waiting and stops. Takes at most about three seconds when the collector is gone.
    pub async fn shutdown(mut self) {
        let Some(provider) = self.provider.take() else { return };
        // Blocks until the exporter's thread is done, so not on a worker of this runtime.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }

    /// Sends what is waiting, and goes on. For tests, and before a planned kill. Waits at most about
    /// three seconds.
    pub async fn flush(&self) {
        let Some(provider) = self.provider.clone() else { return };
        let flushing = tokio::task::spawn_blocking(move || provider.force_flush());
        if !matches!(tokio::time::timeout(FLUSH_LIMIT, flushing).await, Ok(Ok(Ok(())))) {
            tracing::warn!("spans could not be exported");
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which panics inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
