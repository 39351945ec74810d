//! Thousands of requests that are dropped while their transaction runs, as tonic does on a deadline or a reset.
#![expect(clippy::print_stdout, reason = "the figures are part of the proof")]

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::faults::{Fault, Faults, Point};
use caremesh_db::{Db, Error};
use caremesh_testkit::for_each_database;
use tokio::sync::Mutex;

use crate::common::{Store, call, grant, number, posting, store, version_in};

async fn post(db: &Db, entry: String) -> Result<(), Error> {
    let balance: &'static str = ["a", "b", "c", "d", "e", "f", "g", "h"][entry.len() % 8];
    db.write(&call(), move |tx| {
        let entry = entry.clone();
        Box::pin(async move {
            let version = version_in(tx, balance).await?;
            tx.apply(posting(&entry, balance, version, 1)).await.map(|_| ())
        })
    })
    .await
}

/// Tries until acknowledged or dropped; the drop comes after `patience`.
async fn request(db: Db, entry: String, patience: Duration, acknowledged: Arc<Mutex<Vec<String>>>) {
    let attempts = async {
        loop {
            match post(&db, entry.clone()).await {
                Err(Error::Stale { .. } | Error::Overloaded | Error::Contended) => {}
                outcome => break outcome,
            }
        }
    };
    match tokio::time::timeout(patience, attempts).await {
        Ok(Ok(())) => acknowledged.lock().await.push(entry),
        // A dropped one may have been committed without anybody knowing, and its repetition then meets its own entry.
        Ok(Err(Error::Duplicate { .. })) | Err(_) => {}
        Ok(Err(other)) => panic!("{other:?}"),
    }
}

for_each_database! { with store;
    async fn thousands_of_dropped_requests_lose_no_acknowledged_write_and_poison_no_connection(store: Store) {
        let db = store.open().await;
        for balance in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            grant(&db, balance, 1_000_000).await;
        }
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        for wave in 0..40_u64 {
            let requests: Vec<_> = (0..100_u64).map(|place| {
                // Most have from nothing to a few milliseconds, so that drops fall on every await of a
                // transaction; a quarter has the time to be acknowledged between them.
                let hurried = Duration::from_micros((wave * 100 + place) * 7_919 % 12_000);
                let patience = if place.is_multiple_of(4) { Duration::from_secs(1) } else { hurried };
                let entry = format!("w{wave}-{place}{}", "x".repeat(usize::try_from(place % 8).expect("small")));
                tokio::spawn(request(db.clone(), entry, patience, Arc::clone(&acknowledged)))
            }).collect();
            for request in requests {
                request.await.expect("no request panics");
            }
        }
        // Every connection is used again, and what it acknowledges must be there for another process.
        for after in 0..50 {
            let patience = Duration::from_secs(10);
            request(db.clone(), format!("after-{after}"), patience, Arc::clone(&acknowledged)).await;
        }
        assert!(db.drain(Duration::from_secs(20)).await, "owned transactions end");

        let fresh = store.open().await;
        let acknowledged = acknowledged.lock().await;
        let list = acknowledged.iter().map(|entry| format!("'{entry}'")).collect::<Vec<_>>().join(",");
        let there = number(&fresh, &format!("SELECT count(*) FROM entry WHERE id IN ({list})")).await;
        assert_eq!(there, i64::try_from(acknowledged.len()).expect("a count"), "an acknowledged write is missing");
        let (entries, used) = (number(&fresh, "SELECT count(*) FROM entry").await,
            number(&fresh, "SELECT CAST(sum(used) AS BIGINT) FROM balance").await);
        assert_eq!(entries, used, "a transaction was half done");
        println!("of 4000 requests {} were acknowledged, {} committed", acknowledged.len(), entries);
        assert!((200..4_000).contains(&acknowledged.len()), "all or nothing was dropped: the test proves nothing");
    }

    async fn a_dropped_handler_does_not_drop_its_transaction(store: Store) {
        let db = store.open_with(Faults::by(|point| {
            (point == Point::BeforeCommit).then_some(Fault::Wait(Duration::from_millis(200)))
        })).await;
        grant(&db, "a", 10).await;
        let context = call();
        let handler = db.write(&context, |tx| Box::pin(tx.apply(posting("e1", "a", 0, 1))));
        assert!(tokio::time::timeout(Duration::from_millis(50), handler).await.is_err(), "the handler was dropped");
        assert!(db.drain(Duration::from_secs(5)).await);
        let fresh = store.open().await;
        assert_eq!(number(&fresh, "SELECT used FROM balance").await, 1);
    }
}
