//! Transactions and batches: all or nothing, expected counts, constraints, collisions, limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caremesh_db::{Batch, Config, Error, Expect};
use caremesh_mesh::Touched;
use caremesh_testkit::database::DatabaseKind;
use caremesh_testkit::fault::{Fault, FaultProxy};
use caremesh_testkit::for_each_database;
use sea_orm::ConnectionTrait;

use crate::common::{Migrator, Store, call, call_within, grant, number, posting, sql, store, version_in};

for_each_database! { with store;
    async fn a_batch_is_all_or_nothing(store: Store) {
        let db = store.open().await;
        grant(&db, "pool", 100).await;
        let counts = db.write(&call(), |tx| Box::pin(tx.apply(posting("e1", "pool", 0, 60)))).await.expect("fits");
        assert_eq!(counts, vec![1, 1]);

        let stale = db.write(&call(), |tx| Box::pin(tx.apply(posting("e2", "pool", 0, 1)))).await;
        assert!(matches!(stale, Err(Error::Stale { statement: "balance", changed: 0, expected: 1 })), "{stale:?}");
        let over = db.write(&call(), |tx| Box::pin(tx.apply(posting("e3", "pool", 1, 41)))).await;
        assert!(matches!(over, Err(Error::Constraint { ref constraint }) if constraint.contains("balance_room")), "{over:?}");
        let twice = db.write(&call(), |tx| Box::pin(tx.apply(posting("e1", "pool", 1, 1)))).await;
        assert!(matches!(twice, Err(Error::Duplicate { .. })), "{twice:?}");

        assert_eq!(number(&db, "SELECT used FROM balance").await, 60);
        assert_eq!(number(&db, "SELECT count(*) FROM entry").await, 1);
    }

    async fn an_error_or_a_panic_of_the_work_leaves_nothing(store: Store) {
        let db = store.open().await;
        grant(&db, "pool", 100).await;
        let refused = db.write(&call(), |tx| Box::pin(async move {
            tx.apply(posting("e1", "pool", 0, 1)).await?;
            Err::<(), _>(Error::Corrupt("the work changed its mind"))
        })).await;
        assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
        let panicked = db.write(&call(), |tx| Box::pin(async move {
            tx.apply(posting("e1", "pool", 0, 1)).await?;
            assert!(tx.kind().system_name().is_empty(), "a defect of the work");
            Ok::<_, Error>(())
        })).await;
        assert!(matches!(panicked, Err(Error::Panicked)), "{panicked:?}");
        assert_eq!(number(&db, "SELECT used FROM balance").await, 0);
    }

    async fn racing_postings_never_overdraw_and_each_acknowledged_one_is_there(store: Store) {
        let db = store.open().await;
        grant(&db, "pool", 50).await;
        let posted = Arc::new(AtomicU32::new(0));
        let racers: Vec<_> = (0..80).map(|racer| {
            let (db, posted) = (db.clone(), Arc::clone(&posted));
            tokio::spawn(async move {
                let entry = format!("e{racer}");
                // As a caller does: read the version, post against it, read again when somebody was faster.
                loop {
                    let entry = entry.clone();
                    let outcome = db.write(&call(), move |tx| {
                        let entry = entry.clone();
                        Box::pin(async move {
                            let version = version_in(tx, "pool").await?;
                            tx.apply(posting(&entry, "pool", version, 1)).await
                        })
                    }).await;
                    match outcome {
                        Ok(_) => break posted.fetch_add(1, Ordering::SeqCst),
                        Err(Error::Stale { .. } | Error::Overloaded | Error::Contended) => {}
                        Err(Error::Constraint { .. }) => break 0,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        }).collect();
        for racer in racers {
            racer.await.expect("no racer panics");
        }
        assert_eq!(posted.load(Ordering::SeqCst), 50);
        assert_eq!(number(&db, "SELECT used FROM balance").await, 50);
        assert_eq!(number(&db, "SELECT count(*) FROM entry").await, 50);
    }

    async fn facts_of_a_write_are_rows_of_its_transaction_and_come_back_when_it_fails(store: Store) {
        let db = store.open().await;
        grant(&db, "pool", 100).await;
        let context = call();
        context.touched(Touched::read(None, "pol_before"));
        let failed = db.write(&context, |tx| Box::pin(async move {
            tx.context().touched(Touched::read(None, "pol_inside"));
            tx.apply(posting("e1", "pool", 0, 101)).await
        })).await;
        assert!(failed.is_err());
        assert_eq!(number(&db, "SELECT count(*) FROM audit_event").await, 0);
        let back: Vec<_> = context.take_touched().into_iter().map(|fact| fact.resource).collect();
        assert_eq!(back, ["pol_before", "pol_inside"]);

        context.touched(Touched::read(None, "pol_before"));
        db.write(&context, |tx| Box::pin(async move {
            tx.context().touched(Touched::read(None, "pol_inside"));
            tx.apply(posting("e1", "pool", 0, 1)).await
        })).await.expect("posted");
        assert!(context.take_touched().is_empty());
        assert_eq!(number(&db, "SELECT count(*) FROM audit_event WHERE method = '/svc-test/work'").await, 2);
    }

    async fn work_that_outlasts_its_deadline_is_rolled_back_and_frees_its_connection(store: Store) {
        let config = Config { write_connections: 1, ..store.config() };
        let db = caremesh_db::Db::connect(config).await.expect("open");
        grant(&db, "pool", 100).await;
        let late = db.write(&call_within(Duration::from_millis(150)), |tx| Box::pin(async move {
            tx.apply(posting("e1", "pool", 0, 1)).await?;
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok::<_, Error>(())
        })).await;
        assert!(matches!(late, Err(Error::OutOfTime)), "{late:?}");
        db.write(&call(), |tx| Box::pin(tx.apply(posting("e2", "pool", 0, 7)))).await.expect("the connection is free");
        assert_eq!(number(&db, "SELECT used FROM balance").await, 7);
    }

    async fn a_full_pool_is_told_as_overload(store: Store) {
        let config = Config { write_connections: 1, acquire_timeout_ms: Some(1_000), ..store.config() };
        let db = caremesh_db::Db::connect(config).await.expect("open");
        let (started, hold) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let holder = tokio::spawn({
            let (db, started, hold) = (db.clone(), Arc::clone(&started), Arc::clone(&hold));
            async move {
                db.write(&call(), move |_| {
                    let (started, hold) = (Arc::clone(&started), Arc::clone(&hold));
                    Box::pin(async move {
                        started.notify_one();
                        hold.notified().await;
                        Ok::<_, Error>(())
                    })
                }).await
            }
        });
        started.notified().await;
        let refused = db.write(&call(), |tx| Box::pin(tx.apply(Batch::new()))).await;
        assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
        hold.notify_one();
        holder.await.expect("no panic").expect("the holder commits");
    }

    async fn draining_waits_for_what_runs_and_refuses_what_comes(store: Store) {
        let db = store.open().await;
        grant(&db, "pool", 100).await;
        let running = tokio::spawn({
            let db = db.clone();
            async move {
                db.write(&call(), |tx| Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    tx.apply(posting("e1", "pool", 0, 1)).await
                })).await
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(db.drain(Duration::from_secs(5)).await, "the transaction ends in time");
        running.await.expect("no panic").expect("committed before the drain ended");
        let refused = db.write(&call(), |tx| Box::pin(tx.apply(Batch::new()))).await;
        assert!(matches!(refused, Err(Error::Draining)), "{refused:?}");
    }

    async fn a_reader_cannot_write(store: Store) {
        let db = store.open().await;
        let text = "INSERT INTO balance VALUES ('x', 0, 0, 0)";
        assert!(db.read(&call()).execute_raw(sql(db.kind(), text, [])).await.is_err());
        assert_eq!(number(&db, "SELECT count(*) FROM balance").await, 0);
    }

    async fn a_batch_counts_zero_rows_where_any_number_will_do(store: Store) {
        let db = store.open().await;
        let counts = db.write(&call(), |tx| Box::pin(async move {
            let mut batch = Batch::new();
            batch.push("none", "DELETE FROM entry WHERE id = $1", vec!["x".into()], Expect::Any);
            tx.apply(batch).await
        })).await.expect("done");
        assert_eq!(counts, vec![0]);
    }

    async fn serving_refuses_a_schema_that_is_older_or_newer(store: Store) {
        let db = store.open().await;
        db.check_schema::<Migrator>().await.expect("the very schema");
        db.write(&call(), |tx| Box::pin(async move {
            let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99990101_000001_future', 0)";
            tx.execute_unprepared(newer).await.map(|_| ()).map_err(Error::from)
        })).await.expect("as a newer release does");
        let newer = db.check_schema::<Migrator>().await.expect_err("unknown migration").to_string();
        assert!(newer.contains("m99990101_000001_future"), "{newer}");
        assert!(db.migrate::<Migrator>().await.is_err(), "an older release must not migrate a newer database");
        db.write(&call(), |tx| Box::pin(async move {
            tx.execute_unprepared("DELETE FROM seaql_migrations WHERE version > 'm20261121_000001_z'")
                .await.map(|_| ()).map_err(Error::from)
        })).await.expect("as an older release left it");
        let older = db.check_schema::<Migrator>().await.expect_err("missing migration").to_string();
        assert!(older.contains("m20261121_000002_balance"), "{older}");
    }
}

#[tokio::test]
async fn a_database_that_comes_up_after_its_service_is_waited_for() {
    let Some(store) = store(DatabaseKind::Postgres).await else { return };
    let (head, tail) = store.database.url().split_once('@').expect("user@ in the address");
    let (server, database) = tail.split_once('/').expect("/database in the address");
    let proxy = FaultProxy::before(server.parse().expect("an address")).await.expect("a proxy");
    proxy.set(Fault::Cut);
    let config = Config::new(format!("{head}@{}/{database}", proxy.address()));
    let opening = tokio::spawn(async move { caremesh_db::Db::connect(config).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!opening.is_finished(), "it is not there yet");
    proxy.set(Fault::None);
    opening.await.expect("no panic").expect("it is there now");
}
