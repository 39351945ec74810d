//! A collector that accepts and never answers holds nobody up. A binary of its own: telemetry ends once per
//! process.

use std::time::Duration;

use caremesh_mesh::telemetry::{TelemetryConfig, Work};
use caremesh_testkit::logs::CapturedLogs;
use tokio::{net::TcpListener, time::Instant};

#[test]
fn a_dead_collector_does_not_delay_the_end_beyond_its_limit() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let took = runtime.block_on(async {
        // Connections are accepted by the kernel, and nobody ever reads from them.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let config = TelemetryConfig {
            otlp_endpoint: Some(format!("http://{}", silent.local_addr().expect("an address"))),
            sample_per_million: 1_000_000,
            ..TelemetryConfig::default()
        };
        let (logs, telemetry) = CapturedLogs::start(&config, "svc-last").expect("telemetry");
        Work::new("svc-last", "last words").run(async {}).await;
        let began = Instant::now();
        telemetry.shutdown().await;
        assert!(logs.text().contains("the last spans could not be exported"), "{}", logs.text());
        began
    });
    // Whatever the exporter left running on this runtime would be waited for here.
    drop(runtime);
    assert!(took.elapsed() < Duration::from_secs(4), "{:?}", took.elapsed());
}
