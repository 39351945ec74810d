//! A test program of its own, because it owns the process's subscriber. Spans and log lines of the kit say what ran where and how it ended, and hold nothing of what was written.

use std::io::Write;
use std::sync::{Arc, Mutex};

use caremesh_db::{Batch, Error, Expect};
use caremesh_testkit::database::DatabaseKind;
use sea_orm::ConnectionTrait;
use tracing_subscriber::fmt::format::FmtSpan;

#[expect(dead_code, reason = "shared with the other test program, which uses the rest")]
#[path = "it/common.rs"]
mod common;

use common::{call, grant, posting, sql, store};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lines").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What one database makes the kit say, at the finest level.
async fn lines_of(kind: DatabaseKind, lines: &Lines) -> Option<String> {
    let store = store(kind).await?;
    lines.0.lock().expect("lines").clear();
    let db = store.open().await;
    grant(&db, "pool", 100).await;
    for _ in 0..2 {
        // The second one meets its own key: the driver's message must not carry the value out.
        let outcome =
            db.write(&call(), |tx| Box::pin(tx.apply(posting("canary-oluwaseun", "pool", 0, 1)))).await;
        drop(outcome);
    }
    let literal = "SELECT count(*) FROM entry WHERE id = 'canary-oluwaseun' AND amount = $1";
    let read = db.read(&call()).query_one_raw(sql(db.kind(), literal, [1_i64.into()])).await;
    read.expect("query");
    let context = call();
    let broken = db.write(&context, |tx| {
        let mut batch = Batch::new();
        let values = vec!["canary-oluwaseun".into()];
        batch.push(
            "broken",
            "INSERT INTO entry (id, balance, amount) VALUES ($1, 'b', NULL)",
            values,
            Expect::Rows(1),
        );
        Box::pin(tx.apply(batch))
    });
    assert!(matches!(broken.await, Err(Error::Constraint { .. })));
    let bytes = lines.0.lock().expect("lines").clone();
    Some(String::from_utf8(bytes).expect("text"))
}

fn assert_seen(lines: &str, system: &str) {
    assert!(!lines.contains("canary"), "{lines}");
    let wanted =
        ["db.transaction", "db.query", "db.caremesh.round_trips=", "error.type=\"constraint\"", system];
    for wanted in wanted {
        assert!(lines.contains(wanted), "no {wanted} in {lines}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_lines_hold_no_values() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the first in this process");
    let sqlite = lines_of(DatabaseKind::Sqlite, &lines).await.expect("SQLite is always there");
    assert_seen(&sqlite, "db.system.name=\"sqlite\"");
    let Some(postgres) = lines_of(DatabaseKind::Postgres, &lines).await else { return };
    assert_seen(&postgres, "db.system.name=\"postgresql\"");
    assert!(!postgres.contains("postgres@127.0.0.1"), "the address, which may hold a password: {postgres}");
}
