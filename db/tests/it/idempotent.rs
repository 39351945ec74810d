//! A request_id takes effect once, whoever repeats it, and its answer is told again only to whom it may be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use caremesh_db::faults::{Fault, Faults, Point};
use caremesh_db::{Answered, Db, Error, Replay, Tx};
use caremesh_mesh::{CallContext, Touched};
use caremesh_testkit::for_each_database;
use futures::future::BoxFuture;
use sea_orm::ConnectionTrait;

use crate::common::{Store, call, grant, number, posting, sql, store, version_in};

fn agree<'c>(context: &'c CallContext, replay: Replay) -> BoxFuture<'c, Result<(), Error>> {
    context.touched(Touched::read(None, replay.resource));
    Box::pin(async { Ok(()) })
}

fn never(_: &Tx) -> BoxFuture<'_, Result<Answered<String>, Error>> {
    Box::pin(async { Err(Error::Corrupt("the work of a replay must not count")) })
}

/// Takes 1 from balance `a` and answers with the given text.
async fn take(db: &Db, request_id: &str, body: &str) -> Result<String, Error> {
    let answer = format!("taken for {body}");
    let entry = format!("entry-{request_id}-{body}");
    db.idempotent(
        &call(),
        request_id,
        &body.to_owned(),
        move |tx| {
            let (answer, entry) = (answer.clone(), entry.clone());
            Box::pin(async move {
                let version = version_in(tx, "a").await?;
                let answered = Answered { resource: "acc_a".to_owned(), version: version + 1, answer };
                tx.answer(&answered)?;
                tx.apply(posting(&entry, "a", version, 1)).await?;
                Ok(answered)
            })
        },
        agree,
    )
    .await
}

/// As a caller does: again after what the contract calls retryable.
async fn take_until_told(db: Db, request_id: String, body: String) -> Result<String, Error> {
    loop {
        match take(&db, &request_id, &body).await {
            Err(Error::RequestInProgress | Error::Stale { .. } | Error::Overloaded | Error::Contended) => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}

for_each_database! { with store;
    async fn fifty_at_once_on_two_replicas_take_effect_once_and_hear_one_answer(store: Store) {
        let replicas = [store.open().await, store.open().await];
        grant(&replicas[0], "a", 100).await;
        for round in 0..4 {
            let callers: Vec<_> = (0..50).map(|caller: usize| {
                let db = replicas[caller % 2].clone();
                tokio::spawn(take_until_told(db, format!("id-{round}"), "five".to_owned()))
            }).collect();
            for caller in callers {
                assert_eq!(caller.await.expect("no panic").expect("told"), "taken for five");
            }
        }
        assert_eq!(number(&replicas[0], "SELECT used FROM balance").await, 4);
        assert_eq!(number(&replicas[0], "SELECT count(*) FROM idempotency").await, 4);
    }

    async fn racing_bodies_under_one_id_take_effect_once_and_the_other_is_told_so(store: Store) {
        let replicas = [store.open().await, store.open().await];
        grant(&replicas[0], "a", 100).await;
        let callers: Vec<_> = (0..40).map(|caller: usize| {
            let body = if caller.is_multiple_of(2) { "five" } else { "six" };
            tokio::spawn(take_until_told(replicas[caller / 2 % 2].clone(), "id".to_owned(), body.to_owned()))
        }).collect();
        let (mut told, mut reused) = (0, 0);
        for caller in callers {
            match caller.await.expect("no panic") {
                Ok(_) => told += 1,
                Err(Error::RequestIdReused) => reused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((told, reused), (20, 20));
        assert_eq!(number(&replicas[0], "SELECT used FROM balance").await, 1);
    }

    async fn a_running_request_is_told_in_progress_and_another_body_reused_once_it_is_stored(store: Store) {
        let db = store.open_with(Faults::by(|point| {
            (point == Point::BeforeCommit).then_some(Fault::Wait(std::time::Duration::from_millis(300)))
        })).await;
        grant(&db, "a", 100).await;
        let first = tokio::spawn({
            let db = db.clone();
            async move { take(&db, "id", "five").await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(matches!(take(&db, "id", "five").await, Err(Error::RequestInProgress)));
        assert!(matches!(take(&db, "id", "six").await, Err(Error::RequestInProgress)));
        first.await.expect("no panic").expect("taken");
        assert!(matches!(take(&db, "id", "six").await, Err(Error::RequestIdReused)));
    }

    async fn a_refused_replay_tells_nothing_and_an_allowed_one_is_reported(store: Store) {
        let db = store.open().await;
        grant(&db, "a", 100).await;
        take(&db, "id", "five").await.expect("taken");
        let refused = db.idempotent(&call(), "id", &"five".to_owned(), never, |_, replay| Box::pin(async move {
            assert_eq!(replay, Replay { resource: "acc_a".to_owned(), version: 1 });
            Err(Error::Corrupt("no access any more"))
        })).await;
        assert!(matches!(refused, Err(Error::Corrupt("no access any more"))), "{refused:?}");
        let context = call();
        let told = db.idempotent(&context, "id", &"five".to_owned(), never, agree).await.expect("told again");
        assert_eq!(told, "taken for five");
        assert_eq!(context.take_touched(), vec![Touched::read(None, "acc_a")]);
    }

    async fn only_what_was_committed_is_kept(store: Store) {
        let db = store.open().await;
        grant(&db, "a", 0).await;
        assert!(matches!(take(&db, "id", "five").await, Err(Error::Constraint { .. })));
        assert_eq!(number(&db, "SELECT count(*) FROM idempotency").await, 0);
        db.write(&call(), |tx| Box::pin(async move {
            tx.execute_unprepared("UPDATE balance SET granted = 1").await.map(|_| ()).map_err(Error::from)
        })).await.expect("room");
        take(&db, "id", "five").await.expect("the refused id may be tried again");
    }

    async fn an_answer_lost_after_its_commit_is_told_by_the_repetition(store: Store) {
        let lost = Arc::new(AtomicU32::new(0));
        let db = store.open_with(Faults::by({
            let lost = Arc::clone(&lost);
            move |point| {
                let now = point == Point::AfterCommit && lost.fetch_add(1, Ordering::SeqCst) == 1;
                now.then_some(Fault::Break)
            }
        })).await;
        grant(&db, "a", 100).await;
        // The kit finds the stored answer by itself when the outcome of its own commit is unknown.
        assert_eq!(take(&db, "id", "five").await.expect("told"), "taken for five");
        assert_eq!(take(&db, "id", "five").await.expect("told again"), "taken for five");
        assert_eq!(number(&db, "SELECT used FROM balance").await, 1);
    }

    async fn rows_hold_neither_the_answer_nor_the_caller_and_are_purged_after_thirty_days(store: Store) {
        let db = store.open().await;
        grant(&db, "a", 100).await;
        take(&db, "id", "canary-oluwaseun").await.expect("taken");
        let statement = sql(db.kind(), "SELECT caller, answer, body_hmac FROM idempotency", []);
        let row = db.read(&call()).query_one_raw(statement).await.expect("query").expect("row");
        let (caller, answer): (String, Vec<u8>) = (row.try_get_by_index(0).expect("text"), row.try_get_by_index(1).expect("bytes"));
        assert!(!caller.contains("svc-test") && caller.len() == 64, "{caller}");
        assert!(!String::from_utf8_lossy(&answer).contains("canary"));

        assert_eq!(db.purge_idempotency(&call(), 100).await.expect("purge"), 0);
        db.write(&call(), |tx| Box::pin(async move {
            let older = "UPDATE idempotency SET created_at = created_at - 2592000000001";
            tx.execute_unprepared(older).await.map(|_| ()).map_err(Error::from)
        })).await.expect("older");
        assert_eq!(db.purge_idempotency(&call(), 100).await.expect("purge"), 1);
    }
}
