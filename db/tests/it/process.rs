//! Processes continue after anything, by whoever finds them, and undo what they cannot finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use caremesh_db::process::{
    Flow, NewProcess, Rehearsal, Runner, State, StepCall, StepDone, StepError, rehearse,
};
use caremesh_db::{Batch, Db, Error, Expect, Parts};
use caremesh_kernel::{Clock, IdSource as _, ProcessId, SystemIds, Timestamp};
use caremesh_mesh::CallContext;
use caremesh_mesh::identity::SpiffeId;
use caremesh_testkit::for_each_database;
use tokio::sync::Mutex;

use crate::common::{Store, call, number, store, workload};

/// Three steps, each of which makes one entry under its own name and undoes it by removing it.
#[derive(Default)]
struct Order {
    db: Mutex<Option<Db>>,
}

impl Order {
    async fn change(&self, call: &StepCall, sql: &'static str) -> Result<StepDone, StepError> {
        let db = self.db.lock().await.clone().expect("a world");
        let entry = format!("{}:{}", call.name, call.process);
        db.write(&call.context, move |tx| {
            let values = vec![entry.as_str().into()];
            let mut batch = Batch::new();
            batch.push("entry", sql, values, Expect::Any);
            Box::pin(tx.apply(batch))
        })
        .await
        .map_err(|_: Error| StepError::Retry("DEPENDENCY_DOWN"))?;
        Ok(StepDone::forward())
    }
}

#[async_trait]
impl Flow for Order {
    fn kind(&self) -> &'static str {
        "order"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["reserve", "charge", "dispatch"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let insert =
            "INSERT INTO entry (id, balance, amount) VALUES ($1, 'b', 1) ON CONFLICT (id) DO NOTHING";
        self.change(call, insert).await
    }

    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError> {
        self.change(call, "DELETE FROM entry WHERE id = $1").await
    }
}

struct OrderRehearsal {
    store: Store,
    flow: Arc<Order>,
}

#[async_trait]
impl Rehearsal for OrderRehearsal {
    async fn fresh(&self, parts: Parts) -> Db {
        let db = Db::connect_with(self.store.config(), parts).await.expect("open");
        db.write(&call(), |tx| {
            Box::pin(async move {
                let mut batch = Batch::new();
                batch.push("entry", "DELETE FROM entry", Vec::new(), Expect::Any);
                batch.push("process", "DELETE FROM process", Vec::new(), Expect::Any);
                tx.apply(batch).await
            })
        })
        .await
        .expect("empty");
        *self.flow.db.lock().await = Some(db.clone());
        db
    }

    fn flow(&self) -> Arc<dyn Flow> {
        Arc::clone(&self.flow) as _
    }

    async fn start(&self, db: &Db) -> ProcessId {
        start(db, "order").await
    }

    async fn assert_done(&self, db: &Db) {
        assert_eq!(number(db, "SELECT count(*) FROM entry").await, 3);
    }

    async fn assert_undone(&self, db: &Db) {
        assert_eq!(number(db, "SELECT count(*) FROM entry").await, 0);
    }

    fn context(&self) -> CallContext {
        call()
    }

    fn workload(&self) -> SpiffeId {
        workload()
    }
}

async fn start(db: &Db, kind: &'static str) -> ProcessId {
    let id = ProcessId::from_uuid(SystemIds.uuid());
    db.write(&call(), move |tx| {
        Box::pin(async move {
            tx.start_process(&NewProcess {
                id,
                kind,
                first_time: Timestamp::from_micros(0),
                data: Vec::new(),
            });
            Ok::<_, Error>(())
        })
    })
    .await
    .expect("started");
    id
}

/// A clock moved by hand.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// One step that takes a while and counts how often it ran, and under which ids.
struct Slow {
    runs: AtomicUsize,
    ids: Mutex<Vec<caremesh_kernel::Uuid>>,
    pause: Duration,
}

#[async_trait]
impl Flow for Slow {
    fn kind(&self) -> &'static str {
        "slow"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["only"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.ids.lock().await.push(call.request_id);
        tokio::time::sleep(self.pause).await;
        Ok(StepDone::forward())
    }

    async fn undo(&self, _: &StepCall) -> Result<StepDone, StepError> {
        Ok(StepDone::forward())
    }
}

fn slow(pause: Duration) -> Arc<Slow> {
    Arc::new(Slow { runs: AtomicUsize::new(0), ids: Mutex::default(), pause })
}

for_each_database! { with store;
    async fn an_order_answers_the_three_questions(store: Store) {
        rehearse(&OrderRehearsal { store, flow: Arc::default() }).await;
    }

    async fn runners_of_two_replicas_do_each_step_once(store: Store) {
        let replicas = [store.open().await, store.open().await];
        for _ in 0..40 {
            start(&replicas[0], "slow").await;
        }
        let flow = slow(Duration::from_millis(1));
        let runners = replicas.each_ref().map(|db| Runner::new(db, workload(), [Arc::clone(&flow) as Arc<dyn Flow>]));
        let work = |runner: Runner| async move {
            loop {
                match runner.run_due().await {
                    Ok(0) => break,
                    Ok(_) | Err(Error::Overloaded | Error::Contended) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        };
        let [one, two] = runners;
        tokio::join!(work(one), work(two));
        assert_eq!(number(&replicas[0], "SELECT count(*) FROM process WHERE state = 'DONE'").await, 40);
        assert_eq!(flow.runs.load(Ordering::SeqCst), 40);
    }

    async fn a_step_whose_runner_died_is_done_by_another_after_the_lease_under_the_same_id(store: Store) {
        let clock = Arc::new(Hand::default());
        let parts = Parts { clock: Arc::clone(&clock) as _, ..Parts::default() };
        let db = Db::connect_with(store.config(), parts).await.expect("open");
        let id = start(&db, "slow").await;
        let dying = slow(Duration::from_secs(3_600));
        let runner = Runner::new(&db, workload(), [Arc::clone(&dying) as Arc<dyn Flow>]);
        let death = tokio::spawn(async move { runner.run_due().await });
        while dying.runs.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        death.abort();
        let next = slow(Duration::ZERO);
        let runner = Runner::new(&db, workload(), [Arc::clone(&next) as Arc<dyn Flow>]);
        assert_eq!(runner.run_due().await.expect("leased"), 0, "the lease is still held");
        clock.0.fetch_add(60_000_000, Ordering::SeqCst);
        assert_eq!(runner.run_due().await.expect("due"), 1);
        assert_eq!(*next.ids.lock().await, *dying.ids.lock().await);
        let process = db.find_process(&call(), id).await.expect("read").expect("there");
        assert_eq!(process.state, State::Done);
    }

    async fn a_process_cannot_be_started_twice_under_one_id(store: Store) {
        let db = store.open().await;
        let id = start(&db, "slow").await;
        let again = db.write(&call(), move |tx| Box::pin(async move {
            tx.start_process(&NewProcess { id, kind: "slow", first_time: tx.now(), data: Vec::new() });
            Ok::<_, Error>(())
        })).await;
        assert!(matches!(again, Err(Error::Duplicate { .. })), "{again:?}");
    }
}
