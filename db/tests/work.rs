//! A test program of its own, because it owns the process's telemetry. What the kit does without being called is seen
//! too, under the service it does it for, and says nothing of what was written.

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::audit::{CheckpointLog, Recorder, Sealer, Signer};
use caremesh_db::feed::Relay;
use caremesh_db::{Error, NewEvent};
use caremesh_mesh::Touched;
use caremesh_mesh::audit::{AuditSink as _, Outcome};
use caremesh_mesh::telemetry::{TelemetryConfig, Work};
use caremesh_testkit::database::DatabaseKind;
use caremesh_testkit::logs::CapturedLogs;
use caremesh_testkit::otlp::{OtlpReceiver, ReceivedSpan};

#[expect(dead_code, reason = "shared with the other test programs, which use the rest")]
#[path = "it/common.rs"]
mod common;

use common::{call, store, workload};

/// One read, one write with an event, and what follows from both.
async fn work(folder: &std::path::Path) {
    let store = store(DatabaseKind::Sqlite).await.expect("SQLite is always there");
    let db = store.open().await;
    let recorder = Recorder::start(&db);
    let read =
        async { recorder.record(call(), vec![Touched::read(None, "canary-record")], Outcome::Ok).await };
    Work::new("svc-test", "a call").run(read).await.expect("recorded");
    let event = NewEvent {
        event_type: "CANARY",
        ordering_key: "canary-key".to_owned(),
        revision: 1,
        payload: b"canary".to_vec(),
    };
    let context = call();
    let written = db.write(&context, move |tx| {
        let event = event.clone();
        Box::pin(async move {
            tx.emit([event]);
            Ok::<_, Error>(())
        })
    });
    Work::new("svc-test", "another call").run(written).await.expect("written");
    assert_eq!(Relay::new(&db, workload()).place_all().await.expect("placed"), 1);
    let signer = Arc::new(Signer::open_or_create(&folder.join("audit.key")).expect("a key"));
    let log = CheckpointLog::in_file(folder.join("audit.log"));
    Sealer::new(&db, workload(), signer, Arc::new(log)).seal_all().await.expect("sealed");
    db.drain(Duration::from_secs(5)).await;
}

fn named<'s>(spans: &'s [ReceivedSpan], name: &str) -> &'s ReceivedSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

/// Whether one of the statements of a piece of work names the service that the work is for.
fn has_statement(spans: &[ReceivedSpan], of: &ReceivedSpan) -> bool {
    let service = of.attributes.get("caremesh.service");
    let mut own = spans.iter().filter(|span| span.trace_id == of.trace_id);
    own.any(|span| {
        span.attributes.contains_key("db.system.name") && span.attributes.get("caremesh.service") == service
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_called_for_is_seen_under_its_service() {
    let otlp = OtlpReceiver::start().await.expect("a receiver");
    let config = TelemetryConfig {
        otlp_endpoint: Some(otlp.endpoint()),
        sample_per_million: 1_000_000,
        ..TelemetryConfig::default()
    };
    let (_logs, telemetry) = CapturedLogs::start(&config, "db-test").expect("telemetry");
    let folder = tempfile::tempdir().expect("a folder");
    work(folder.path()).await;
    telemetry.flush().await;
    let spans = otlp.spans();
    let own = workload();
    for (name, service) in [
        ("record audit", "svc-test"),
        ("commit audit", "svc-test"),
        ("relay outbox", own.service()),
        ("seal audit", own.service()),
    ] {
        let span = named(&spans, name);
        assert_eq!(span.attributes.get("caremesh.service").map(String::as_str), Some(service), "{name}");
        assert!(
            name == "record audit" || has_statement(&spans, span),
            "{name} has no statement of its service"
        );
    }
    assert_eq!(
        named(&spans, "record audit").trace_id,
        named(&spans, "a call").trace_id,
        "in the reader's trace"
    );
    assert!(!format!("{spans:?}").contains("canary"), "{spans:#?}");
}
