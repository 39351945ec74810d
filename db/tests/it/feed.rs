//! Events leave with their transaction, in an order that holds, at least once, and a bad one does not stop the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use caremesh_db::feed::{Consumer, FeedEvent, Received, Relay};
use caremesh_db::{Db, Error, NewEvent, Tx};
use caremesh_testkit::for_each_database;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::common::{Store, call, grant, number, posting, store, version_in, workload};

const KEYS: [&str; 5] = ["k0", "k1", "k2", "k3", "k4"];

/// Changes a record and tells it; the revision is the record's new version.
async fn change(db: &Db, key: &'static str, entry: String) {
    loop {
        let entry = entry.clone();
        let outcome = db
            .write(&call(), move |tx| {
                let entry = entry.clone();
                Box::pin(async move {
                    let version = version_in(tx, key).await?;
                    tx.emit([NewEvent::of("Changed", key, version + 1, &entry)]);
                    tx.apply(posting(&entry, key, version, 1)).await.map(|_| ())
                })
            })
            .await;
        match outcome {
            Ok(()) => return,
            Err(Error::Stale { .. } | Error::Overloaded | Error::Contended) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn read_all(db: &Db) -> Vec<FeedEvent> {
    let (mut cursor, mut all) = (0, Vec::new());
    loop {
        let page = db.list_events(&call(), cursor, 7).await.expect("feed");
        let Some(last) = page.last() else { return all };
        cursor = last.position;
        all.extend(page);
    }
}

async fn emit(db: &Db, key: &'static str, revision: i64) {
    db.write(&call(), move |tx| {
        Box::pin(async move {
            tx.emit([NewEvent::of("Changed", key, revision, &revision)]);
            Ok::<_, Error>(())
        })
    })
    .await
    .expect("emitted");
}

fn fine<'t>(_: &'t Tx, _: &'t FeedEvent) -> BoxFuture<'t, Result<(), Error>> {
    Box::pin(async { Ok(()) })
}

fn bad<'t>(_: &'t Tx, _: &'t FeedEvent) -> BoxFuture<'t, Result<(), Error>> {
    Box::pin(async { Err(Error::Corrupt("the consumer cannot take this")) })
}

for_each_database! { with store;
    async fn a_reader_that_follows_misses_nothing_and_sees_each_key_in_order(store: Store) {
        let db = store.open().await;
        for key in KEYS {
            grant(&db, key, 1_000).await;
        }
        let stop = CancellationToken::new();
        let relays: Vec<_> = (0..2).map(|_| {
            let (relay, stop) = (Relay::new(&db, workload()), stop.clone());
            tokio::spawn(async move { relay.run(stop).await })
        }).collect();
        // Follows by cursor while events are placed: what it passes over now it will never see.
        let follower = tokio::spawn({
            let db = db.clone();
            async move {
                let (mut cursor, mut seen) = (0, Vec::new());
                let mut changes = db.feed_changes();
                while seen.len() < 250 {
                    let page = db.list_events(&call(), cursor, 50).await.expect("feed");
                    cursor = page.last().map_or(cursor, |event| event.position);
                    if page.is_empty() {
                        drop(tokio::time::timeout(Duration::from_millis(200), changes.changed()).await);
                    }
                    seen.extend(page);
                }
                seen
            }
        });
        let writers: Vec<_> = (0..250).map(|writer: usize| {
            let db = db.clone();
            tokio::spawn(async move { change(&db, KEYS[writer % 5], format!("e{writer}")).await })
        }).collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        let seen = tokio::time::timeout(Duration::from_secs(20), follower).await.expect("in time").expect("no panic");
        stop.cancel();
        for relay in relays {
            relay.await.expect("no panic");
        }
        let mut revisions: HashMap<String, i64> = HashMap::new();
        for event in &seen {
            let last = revisions.insert(event.ordering_key.clone(), event.revision).unwrap_or(0);
            assert_eq!(event.revision, last + 1, "{} out of order", event.ordering_key);
        }
        assert_eq!(seen, read_all(&db).await);
        assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position));
    }

    async fn a_crash_between_commit_and_relay_delays_an_event_and_loses_none(store: Store) {
        let db = store.open().await;
        emit(&db, "k0", 1).await;
        let failed = db.write(&call(), |tx| Box::pin(async move {
            tx.emit([NewEvent::of("Changed", "k0", 2, &0_u64)]);
            Err::<(), _>(Error::Corrupt("rolled back"))
        })).await;
        assert!(failed.is_err());
        db.drain(Duration::from_secs(5)).await;

        let after = store.open().await;
        assert!(read_all(&after).await.is_empty(), "nobody has placed it yet");
        assert_eq!(Relay::new(&after, workload()).place_all().await.expect("placed"), 1);
        let events = read_all(&after).await;
        assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [1]);
        assert_eq!(Relay::new(&after, workload()).place_all().await.expect("nothing left"), 0);
    }

    async fn an_event_takes_effect_once_though_it_is_told_twice(store: Store) {
        let db = store.open().await;
        emit(&db, "k0", 1).await;
        Relay::new(&db, workload()).place_all().await.expect("placed");
        let event = read_all(&db).await.remove(0);
        let consumer = Consumer::new(&db, "claims.settlement", "svc-policy");
        let handled = Arc::new(AtomicUsize::new(0));
        for expected in [Received::Handled, Received::Known] {
            let handled = Arc::clone(&handled);
            let received = consumer.receive::<Error, _>(&call(), &event, move |_, _| {
                handled.fetch_add(1, Ordering::SeqCst);
                Box::pin(async { Ok(()) })
            }).await.expect("received");
            assert_eq!(received, expected);
        }
        assert_eq!(handled.load(Ordering::SeqCst), 1);
        assert_eq!(consumer.cursor(&call()).await.expect("cursor"), event.position);
    }

    async fn an_event_that_cannot_be_handled_is_set_aside_with_all_that_follow_it(store: Store) {
        let db = store.open().await;
        for (key, revision) in [("k0", 1), ("k1", 1), ("k0", 2)] {
            emit(&db, key, revision).await;
        }
        Relay::new(&db, workload()).place_all().await.expect("placed");
        let events = read_all(&db).await;
        let consumer = Consumer::new(&db, "claims.settlement", "svc-policy");
        for attempt in 1..8 {
            assert_eq!(consumer.receive(&call(), &events[0], bad).await.expect("told"), Received::Failed(attempt));
        }
        assert_eq!(consumer.receive(&call(), &events[0], bad).await.expect("told"), Received::Dead);
        assert_eq!(consumer.receive(&call(), &events[1], fine).await.expect("told"), Received::Handled);
        assert_eq!(consumer.receive(&call(), &events[2], fine).await.expect("told"), Received::Dead);

        let letters = consumer.dead_letters(&call(), 10).await.expect("letters");
        let reasons: Vec<_> = letters.iter().map(|letter| (letter.event.clone(), letter.reason.as_str())).collect();
        assert_eq!(reasons, [(events[0].clone(), "FAILED"), (events[2].clone(), "BEHIND")]);
        assert!(consumer.release(&call(), &letters[0], bad).await.is_err());
        for letter in &letters {
            consumer.release(&call(), letter, fine).await.expect("released");
        }
        assert!(consumer.dead_letters(&call(), 10).await.expect("letters").is_empty());
        assert_eq!(number(&db, "SELECT count(*) FROM dead_letter").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_hears_of_new_events_on_postgres() {
    let Some(store) = store(caremesh_testkit::database::DatabaseKind::Postgres).await else { return };
    let (here, there) = (store.open().await, store.open().await);
    let stop = CancellationToken::new();
    let listening = tokio::spawn({
        let (relay, stop) = (Relay::new(&there, workload()), stop.clone());
        async move { relay.listen(stop).await }
    });
    let mut changes = there.feed_changes();
    let heard = AtomicBool::new(false);
    for revision in 1..50 {
        emit(&here, "k0", revision).await;
        Relay::new(&here, workload()).place_all().await.expect("placed");
        if tokio::time::timeout(Duration::from_millis(200), changes.changed()).await.is_ok() {
            heard.store(true, Ordering::SeqCst);
            break;
        }
    }
    assert!(heard.load(Ordering::SeqCst));
    stop.cancel();
    listening.await.expect("no panic");
}
