//! Cover ends while somebody posts: whichever comes first, the other one sees it. What the plan pays is netted from the
//! refund, or is not paid.

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::Db;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::context_of_service;
use sea_orm::ConnectionTrait as _;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::common::*;
use crate::life::minor;

/// Stamp duty that the plan keeps of a free-look cancellation, in kobo.
const KEPT: i64 = 500_00;

/// Holds up whoever writes a table, until it is let go.
struct Gate {
    open: Arc<Notify>,
    held: JoinHandle<()>,
}

impl Gate {
    async fn close(db: &Db, lock: &'static str) -> Self {
        let (open, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (opened, told, db) = (Arc::clone(&open), Arc::clone(&closed), db.clone());
        let held = tokio::spawn(async move {
            let context = context_of_service("svc-policy");
            let waiting = db.write(&context, move |tx| {
                let (opened, told) = (Arc::clone(&opened), Arc::clone(&told));
                Box::pin(async move {
                    tx.execute_unprepared(lock).await?;
                    told.notify_one();
                    opened.notified().await;
                    Ok::<_, caremesh_db::Error>(())
                })
            });
            waiting.await.expect("the gate");
        });
        closed.notified().await;
        Self { open, held }
    }

    async fn open(self) {
        self.open.notify_one();
        self.held.await.expect("the gate opens");
    }
}

/// How many wait for a lock.
async fn waiting(db: &Db) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let context = context_of_service("svc-policy");
    let row =
        db.read(&context).query_one_raw(sea_orm::Statement::from_string(db.kind().backend(), sql)).await;
    row.expect("a count").expect("a row").try_get_by_index(0).expect("a number")
}

/// Waits until so many wait for a lock, or it is clear that they will not.
async fn until_waiting(db: &Db, count: i64) {
    for _ in 0..60 {
        if waiting(db).await >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A posting and a cancellation of the same family, and what came of them. `between` runs once both are under way.
async fn posted_and_cancelled(world: &World, opens: bool, gate: Option<(&Db, &'static str)>) {
    let family = world.family().await;
    if !opens {
        crate::ledger::spend(world, admission(world, &family.member(2), 7_000_00)).await;
    }
    let asked = admission(world, &family.member(1), 40_000_00);
    let price = world.price(&asked).await;
    let capture = posting(&asked, &price, PostingKind::Capture);
    let closed = match gate {
        Some((db, lock)) => Some(Gate::close(db, lock).await),
        None => None,
    };
    let (mut claims, mut holder) = (world.claims(), world.policies(&family.holder));
    let post = tokio::spawn(async move { claims.post(capture).await });
    if let Some((db, _)) = gate {
        until_waiting(db, 1).await;
    }
    let cancel = CancelPolicyRequest {
        request_id: request_id(),
        policy_id: family.policy.policy_id.clone(),
        reason: CancelReason::FreeLook.into(),
        effective_date: None,
        etag: String::new(),
    };
    let cancel = tokio::spawn(async move { holder.cancel_policy(cancel).await });
    if let Some((db, _)) = gate {
        until_waiting(db, 2).await;
    }
    if let Some(closed) = closed {
        closed.open().await;
    }
    let (post, cancel) = (post.await.expect("no panic"), cancel.await.expect("no panic"));
    let policy = cancel.expect("a cancellation waits for a posting").into_inner().policy.expect("the policy");
    if let Err(status) = &post {
        assert!(
            ["NO_COVER_AT_EVENT_DATE", "BALANCE_CHANGED"].contains(&reason(status).as_str()),
            "{status:?}"
        );
    }
    let used = world.balance(&family, "SUM_INSURED").await.0;
    let spent = if opens { 0 } else { 7_000_00 } + if post.is_ok() { 40_000_00 } else { 0 };
    assert_eq!(used, spent);
    let paid = minor(family.policy.premium.as_ref().expect("a premium").net.as_ref());
    assert_eq!(
        minor(policy.refunds[0].net.as_ref()),
        paid - KEPT - used,
        "the refund nets what the plan paid"
    );
    world.verify().await;
}

for_each_database! { with world;
    async fn a_posting_that_read_cover_before_a_cancellation_is_netted_or_refused(world: World) {
        if world.config.database_url.expose_secret().starts_with("postgres") {
            let db = Db::connect(world.config.stores().database).await.expect("the store");
            // Held up after its reading, or in the middle of its writing.
            for lock in ["LOCK TABLE account IN SHARE MODE", "LOCK TABLE posting IN SHARE MODE"] {
                for opens in [true, false] {
                    posted_and_cancelled(&world, opens, Some((&db, lock))).await;
                }
            }
        }
        for round in 0..6 {
            posted_and_cancelled(&world, round % 2 == 0, None).await;
        }
    }
}
