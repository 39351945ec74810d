//! What a write costs: round trips counted on the wire, not believed.

use caremesh_db::{Answered, Config, Db, Error, NewEvent};
use caremesh_mesh::Touched;
use caremesh_testkit::database::{CountingProxy, DatabaseKind};

use crate::common::{call, grant, posting, store, version_in};

/// One posting as svc-policy makes it: read, decide, then everything in one batch.
async fn post(db: &Db, number: i64) -> Result<u32, Error> {
    let (context, id) = (call(), format!("id-{number}"));
    let answered = db.idempotent(
        &context,
        &id,
        &number,
        move |tx| {
            Box::pin(async move {
                let version = version_in(tx, "a").await?;
                tx.context().touched(Touched::read(None, "acc_a"));
                tx.emit([NewEvent::of("Posted", "acc_a", version + 1, &number)]);
                // The last count before COMMIT: BEGIN, the read, and the batch that is about to go.
                let trips = tx.round_trips() + 2;
                let answered =
                    Answered { resource: "acc_a".to_owned(), version: version + 1, answer: u64::from(trips) };
                tx.answer(&answered)?;
                tx.apply(posting(&format!("e{number}"), "a", version, 1)).await?;
                assert_eq!(tx.round_trips() + 1, trips);
                Ok::<_, Error>(answered)
            })
        },
        |_, _| Box::pin(async { Ok(()) }),
    );
    Ok(u32::try_from(answered.await?).expect("few trips"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_posting_with_idempotency_outbox_and_audit_costs_four_round_trips() {
    let Some(store) = store(DatabaseKind::Postgres).await else { return };
    let proxy = CountingProxy::before(store.database.url()).await.expect("proxy");
    let config = Config { write_connections: 1, ..Config::new(proxy.url()) };
    let db = Db::connect_with(config, store.parts().await).await.expect("open");
    grant(&db, "a", 1_000).await;
    for warm in 0..3 {
        post(&db, warm).await.expect("warm: statements are prepared once per connection");
    }
    let settled = || async {
        // What the pool does after the release is off the caller's path; let it end before counting.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        proxy.round_trips()
    };
    let before = settled().await;
    const POSTINGS: u64 = 20;
    for number in 0..i64::try_from(POSTINGS).expect("few") {
        assert_eq!(post(&db, 100 + number).await.expect("posted"), 4);
    }
    let on_the_wire = settled().await - before;
    println!(
        "{} round trips on the wire for {POSTINGS} postings: 4 each on the caller's path, {} after the release",
        on_the_wire,
        on_the_wire - 4 * POSTINGS
    );
    // sqlx's own check of a returned connection.
    assert!(on_the_wire <= 5 * POSTINGS, "{on_the_wire}");
}
