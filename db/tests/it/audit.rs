//! The trail cannot be changed unnoticed: not a column, not a row, not its end, not as a whole.

use std::sync::Arc;

use caremesh_db::audit::{Broken, CheckpointLog, Defect, Publisher as _, Recorder, Sealer, Signer, Verifier};
use caremesh_db::{Db, Error, Kind};
use caremesh_kernel::{IdSource as _, PersonId, SystemIds};
use caremesh_mesh::Touched;
use caremesh_mesh::audit::{AuditSink as _, Outcome};
use caremesh_testkit::for_each_database;
use sea_orm::ConnectionTrait;

use crate::common::{Store, call, number, store, workload};

struct Trail {
    db: Db,
    sealer: Sealer,
    log: CheckpointLog,
    verifier: Verifier,
}

async fn trail(store: &Store, name: &str) -> Trail {
    let db = store.open().await;
    let signer =
        Arc::new(Signer::open_or_create(&store.folder.path().join(format!("{name}.key"))).expect("signer"));
    let file = store.folder.path().join(format!("{name}.log"));
    let verifier = signer.verifier();
    let sealer = Sealer::new(&db, workload(), signer, Arc::new(CheckpointLog::in_file(&file)));
    Trail { db, sealer, log: CheckpointLog::in_file(file), verifier }
}

impl Trail {
    async fn record(&self, count: usize) {
        let recorder = Recorder::start(&self.db);
        let records = (0..count).map(|place| {
            let person = PersonId::from_uuid(SystemIds.uuid());
            let outcome = if place.is_multiple_of(5) {
                Outcome::Refused { code: tonic::Code::PermissionDenied, reason: "ROLE_MISSING".to_owned() }
            } else {
                Outcome::Ok
            };
            recorder.record(call(), vec![Touched::read(person, format!("pol_{place}"))], outcome)
        });
        for recorded in futures::future::join_all(records).await {
            recorded.expect("safe");
        }
    }

    async fn seal(&self) {
        let checkpoint = self.sealer.seal_all().await.expect("sealed");
        assert_eq!(self.sealer.publish(checkpoint).await, None);
    }

    async fn broken(&self) -> Option<Broken> {
        let published = self.log.read().expect("the log");
        self.db.verify_audit(&call(), &published, &self.verifier, &|_, _| ()).await.expect("readable").broken
    }

    /// What somebody with full power over the database can do.
    async fn tamper(&self, sql: &str) {
        self.without_triggers().await;
        self.execute(sql).await.expect("tampered");
    }

    async fn without_triggers(&self) {
        let names = ["audit_event_update", "audit_event_delete"];
        for name in names {
            let drop = match self.db.kind() {
                Kind::Sqlite => format!("DROP TRIGGER IF EXISTS {name}"),
                Kind::Postgres => format!("DROP TRIGGER IF EXISTS {name} ON audit_event"),
            };
            self.execute(&drop).await.expect("dropped");
        }
    }

    async fn execute(&self, sql: &str) -> Result<u64, Error> {
        let sql = sql.to_owned();
        self.db
            .write(&call(), move |tx| {
                let sql = sql.clone();
                Box::pin(async move { Ok(tx.execute_unprepared(&sql).await?.rows_affected()) })
            })
            .await
    }
}

for_each_database! { with store;
    async fn each_column_a_row_and_the_end_are_covered(store: Store) {
        let trail = trail(&store, "trail").await;
        trail.record(40).await;
        trail.seal().await;
        assert_eq!(trail.broken().await, None);

        let text_columns = ["call_id", "caller", "caller_person", "organisation", "service", "method", "purpose",
            "outcome", "person", "resource", "action", "episode", "trace_id"];
        for column in text_columns {
            trail.tamper("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM audit_event WHERE position = 7").await;
            trail.tamper(&format!("UPDATE audit_event SET {column} = 'x' WHERE position = 7")).await;
            assert_eq!(trail.broken().await, Some(Broken { position: 7, defect: Defect::Changed }), "{column}");
            let back = format!("UPDATE audit_event SET {column} = (SELECT {column} FROM kept) WHERE position = 7");
            trail.tamper(&back).await;
            assert_eq!(trail.broken().await, None, "{column} restored");
        }
        for change in ["at = at + 1", "id = 'aud_other'"] {
            trail.tamper(&format!("UPDATE audit_event SET {change} WHERE position = 7")).await;
            assert_eq!(trail.broken().await, Some(Broken { position: 7, defect: Defect::Changed }), "{change}");
            trail.tamper("UPDATE audit_event SET at = (SELECT at FROM kept), id = (SELECT id FROM kept) WHERE position = 7").await;
        }
        trail.tamper("UPDATE audit_event SET hash = (SELECT hash FROM audit_event WHERE position = 8) WHERE position = 7").await;
        assert_eq!(trail.broken().await, Some(Broken { position: 7, defect: Defect::Changed }));
        trail.tamper("UPDATE audit_event SET hash = (SELECT hash FROM kept) WHERE position = 7").await;
        assert_eq!(trail.broken().await, None);

        trail.tamper("DELETE FROM audit_event WHERE position = 40").await;
        assert_eq!(trail.broken().await, Some(Broken { position: 40, defect: Defect::Shortened }));
        trail.tamper("DELETE FROM audit_event WHERE position = 12").await;
        assert_eq!(trail.broken().await, Some(Broken { position: 12, defect: Defect::Missing }));
    }

    async fn a_whole_new_chain_does_not_agree_with_what_was_published(store: Store) {
        let trail = trail(&store, "trail").await;
        trail.record(10).await;
        trail.seal().await;
        // A forger with the database and even the code, but without the published checkpoints.
        trail.tamper("DELETE FROM audit_event WHERE position = 3").await;
        trail.tamper("UPDATE audit_event SET position = NULL, hash = NULL").await;
        let triggers = ["audit_checkpoint_change", "audit_checkpoint_delete", "audit_checkpoint_update"];
        for name in triggers {
            let on = if trail.db.kind() == Kind::Postgres { " ON audit_checkpoint" } else { "" };
            trail.execute(&format!("DROP TRIGGER IF EXISTS {name}{on}")).await.expect("dropped");
        }
        trail.execute("DELETE FROM audit_checkpoint").await.expect("deleted");
        trail.record(1).await;
        trail.sealer.seal_all().await.expect("the forger seals");
        assert_eq!(trail.broken().await, Some(Broken { position: 10, defect: Defect::Rewritten }));
        assert_eq!(trail.db.verify_audit(&call(), &[], &trail.verifier, &|_, _| ()).await.expect("read").broken, None, "alone it looks whole");
    }

    async fn a_checkpoint_by_another_key_is_not_believed(store: Store) {
        let (ours, theirs) = (trail(&store, "ours").await, trail(&store, "theirs").await);
        ours.record(3).await;
        let forged = theirs.sealer.seal_all().await.expect("sealed").expect("a checkpoint");
        ours.log.publish(&forged).await.expect("slipped in");
        assert_eq!(ours.broken().await, Some(Broken { position: 3, defect: Defect::Signature }));
    }

    async fn the_database_itself_refuses_to_change_or_remove_a_line(store: Store) {
        let trail = trail(&store, "trail").await;
        trail.record(3).await;
        let refused = ["UPDATE audit_event SET action = 'none'", "DELETE FROM audit_event",
            "UPDATE audit_event SET position = 1, hash = NULL", "DELETE FROM audit_checkpoint",
            "UPDATE audit_checkpoint SET position = 0"];
        trail.seal().await;
        trail.record(1).await;
        for sql in refused {
            let outcome = trail.execute(sql).await;
            assert!(matches!(outcome, Err(Error::Constraint { .. })), "{sql}: {outcome:?}");
        }
        assert_eq!(trail.broken().await, None);
    }

    async fn lines_without_a_seal_are_told_and_two_sealers_make_one_chain(store: Store) {
        let (one, two) = (trail(&store, "one").await, trail(&store, "one").await);
        one.record(30).await;
        let report = one.db.verify_audit(&call(), &[], &one.verifier, &|_, _| ()).await.expect("read");
        assert_eq!((report.sealed, report.unsealed, report.oldest_unsealed.is_some()), (0, 30, true));
        for _ in 0..20 {
            one.record(20).await;
            let (first, second) = tokio::join!(one.sealer.seal_all(), two.sealer.seal_all());
            for checkpoint in [first.expect("sealed"), second.expect("sealed")] {
                assert_eq!(one.sealer.publish(checkpoint).await, None);
            }
        }
        one.seal().await;
        let published = one.log.read().expect("log");
        let report = one.db.verify_audit(&call(), &published, &one.verifier, &|_, _| ()).await.expect("read");
        assert_eq!((report.sealed, report.unsealed, report.broken.clone()), (430, 0, None), "{report:?}");
        assert_eq!(report.checkpoints, published.len());
        assert_eq!(number(&one.db, "SELECT count(*) FROM audit_event WHERE outcome = 'ROLE_MISSING'").await, 86);
    }

    async fn draining_commits_what_readers_have_queued_though_their_sink_still_exists(store: Store) {
        let db = store.open().await;
        let recorder = Recorder::start(&db);
        let queued: Vec<_> = (0..50).map(|place| {
            let touched = vec![Touched::read(None, format!("pol_{place}"))];
            tokio::spawn(recorder.record(call(), touched, Outcome::Ok))
        }).collect();
        tokio::task::yield_now().await;
        assert!(db.drain(std::time::Duration::from_secs(5)).await, "the recorder ends");
        let mut safe = 0;
        for recorded in queued {
            safe += i64::from(recorded.await.expect("no panic").is_ok());
        }
        let fresh = store.open().await;
        assert_eq!(number(&fresh, "SELECT count(*) FROM audit_event").await, safe);
        assert!(recorder.record(call(), Vec::new(), Outcome::Ok).await.is_err(), "nothing is promised afterwards");
    }
}
