//! The last spans leave before the process does, here over TLS. A binary of its own: telemetry ends once per process.

use std::time::Duration;

use caremesh_mesh::telemetry::{TelemetryConfig, Work, trace_parent};
use caremesh_testkit::{identity::TestAuthority, logs::CapturedLogs, otlp::OtlpReceiver};

#[test]
fn shutdown_on_one_thread_sends_the_last_spans_over_tls_and_ends() {
    let collector = tokio::runtime::Runtime::new().expect("a runtime");
    let authority = TestAuthority::new().expect("an authority");
    let identity = authority.workload("collector").expect("a certificate");
    let receiver = collector.block_on(OtlpReceiver::start_tls(&identity)).expect("a receiver");
    let config = TelemetryConfig {
        otlp_endpoint: Some(receiver.endpoint()),
        otlp_roots: Some(authority.certificate_path()),
        sample_per_million: 1_000_000,
        ..TelemetryConfig::default()
    };
    let (_logs, telemetry) = CapturedLogs::start(&config, "svc-last").expect("telemetry");
    // One thread: where an exporter that shares the server's runtime waits for itself.
    let server = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let last = server.block_on(async {
        let last = Work::new("svc-last", "last words").run(async { trace_parent() }).await;
        let ended = tokio::time::timeout(Duration::from_secs(10), telemetry.shutdown()).await;
        ended.expect("shutdown ends");
        last.expect("a trace")
    });
    assert!(receiver.spans().iter().any(|span| last.contains(&span.trace_id)), "the last span was lost");
}
