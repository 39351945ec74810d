//! What a process logs of a panic. A binary of its own: the hook is the process's, and would take the texts
//! out of every other test's failures.

use std::sync::Arc;

use caremesh_mesh::catch_panic::log_panics_without_text;
use caremesh_mesh::telemetry::{TelemetryConfig, init_to};

#[test]
fn a_panic_is_logged_by_its_place_and_without_its_text() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let writer = Arc::new(log.reopen().expect("the file"));
    let _telemetry = init_to(&TelemetryConfig::default(), "test", writer).expect("the only one");
    log_panics_without_text();
    let panicked = std::thread::spawn(|| panic!("canary-diagnosis")).join();
    assert!(panicked.is_err());
    let lines = std::fs::read_to_string(log.path()).expect("the log");
    assert!(lines.contains("a task panicked") && lines.contains("panic_text.rs"), "{lines}");
    assert!(!lines.contains("canary"), "{lines}");
}
