//! The tables against the rules: the same random history through the store, on either database, and through the rules
//! alone ends at the same balances; the journal cannot be changed, and the database itself refuses to overdraw.

use std::time::Duration;

use caremesh_db::{Config, Db, Error as DbError, Tx};
use caremesh_kernel::{MemberId, Uuid};
use caremesh_mesh::{CallContext, Touched};
use caremesh_testkit::database::{CountingProxy, DatabaseKind, TestDatabase};
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::context_of_service;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use sea_orm::ConnectionTrait as _;

use super::{DrawsAsked, Query, batch};
use crate::app::Error;
use crate::app::posting::{Command, Prepared, written};
use crate::domain::account::{Account, AccountKey};
use crate::domain::ledger::Posting;
use crate::domain::ledger::tests::{Shelf, Step, account, action, event, pool, step, term_id};
use crate::migration::Migrator;

/// A store with one family on one term, and nothing posted yet.
struct Store {
    db: Db,
    _database: TestDatabase,
}

async fn store(kind: DatabaseKind) -> Option<Store> {
    let database = TestDatabase::migrated(kind, "svc_policy", async |url| {
        let db = Db::connect(Config::new(url)).await?;
        db.migrate::<Migrator>().await?;
        db.drain(Duration::from_secs(5)).await;
        Ok(())
    })
    .await?;
    let db = Db::connect(Config::new(database.url())).await.expect("the store opens");
    seed(&db).await;
    Some(Store { db, _database: database })
}

fn context() -> CallContext {
    context_of_service("svc-claims")
}

async fn seed(db: &Db) {
    let term = term_id().to_string();
    let member = MemberId::from_uuid(Uuid::from_u128(6)).to_string();
    let plan = caremesh_kernel::PlanVersionId::from_uuid(Uuid::from_u128(7)).to_string();
    let policy = caremesh_kernel::PolicyId::from_uuid(Uuid::from_u128(8)).to_string();
    let person = caremesh_kernel::PersonId::from_uuid(Uuid::from_u128(9)).to_string();
    let statements = [
        format!("INSERT INTO plan_version VALUES ('{plan}', 'pln', 'C', 'L', 'd', '', 0)"),
        format!(
            "INSERT INTO quote (id, plan_version_id, policyholder, currency, sum_insured, starts_on, premium, total, policy_id, \
             version, expires_at, created_at) VALUES ('q', '{plan}', '{person}', 'NGN', 1000, '2026-01-01', '', 1, NULL, 1, 1, 1)"
        ),
        format!(
            "INSERT INTO policy (id, quote_id, plan_id, policyholder, state, zone, currency, lead_carrier, activated_at, version, \
             created_at, updated_at) VALUES ('{policy}', 'q', 'pln', '{person}', 'ACTIVE', 'Africa/Lagos', 'NGN', 'org', 1, 1, 1, 1)"
        ),
        format!(
            "INSERT INTO policy_term (id, policy_id, number, starts_on, ends_on, state) \
             VALUES ('{term}', '{policy}', 1, '2026-01-01', '2027-01-01', 'OPEN')"
        ),
        format!("INSERT INTO term_segment VALUES ('{term}', '2026-01-01', '2027-01-01', '{plan}', 1000)"),
    ];
    let member = format!(
        "INSERT INTO member (id, policy_id, position, person_id, relation, starts_on, ends_on, continuous_from, facts_sealed) \
         VALUES ('{member}', '{policy}', 0, '{person}', 'SELF', '2026-01-01', '2027-01-01', '2026-01-01', $1)"
    );
    db.write(&context(), move |tx: &Tx| {
        let (statements, member) = (statements.clone(), member.clone());
        Box::pin(async move {
            for sql in statements {
                tx.execute_unprepared(&sql).await?;
            }
            tx.execute_raw(caremesh_db::sql::statement(tx, &member, vec![vec![0_u8].into()])).await?;
            Ok::<_, DbError>(())
        })
    })
    .await
    .expect("the family is there");
}

fn command(posting: &Posting, accounts: &[AccountKey]) -> Command {
    let actions = || posting.movements.iter().map(|m| &m.action);
    let query = Query {
        accounts: accounts.iter().map(AccountKey::id).collect(),
        holds: actions().filter_map(|a| a.hold()).collect(),
        reversed: actions().filter_map(|a| a.reverses()).collect(),
        restored: DrawsAsked::by(&posting.event, actions().flat_map(|action| action.restores())),
        member: posting.event.member,
        day: posting.event.date,
        source: posting.source.clone(),
    };
    Command { posting: posting.clone(), query, keys: accounts.to_vec(), episode: None }
}

/// Posts through the store at the posting's own instant.
async fn post(db: &Db, posting: &Posting, openings: &[Account]) -> Result<(), Error> {
    let (posting, openings) = (posting.clone(), openings.to_vec());
    db.write(&context(), move |tx: &Tx| {
        let (posting, openings) = (posting.clone(), openings.clone());
        Box::pin(async move {
            let keys: Vec<AccountKey> = openings.iter().map(|a| a.key.clone()).collect();
            let command = command(&posting, &keys);
            let view = super::view(tx, tx.kind(), &command.query, posting.now).await?;
            let prepare = |_: &super::View, _: &super::Cover, posting| {
                Ok(Prepared { posting, openings: openings.clone(), overdue: false })
            };
            let tried = command.decide(view, posting.now, prepare)?;
            tx.context().touched(Touched::read(None, tried.posting.id));
            tx.apply(batch(tx.kind(), &tried.cover, &tried.posting, None, &tried.decision))
                .await
                .map_err(written)?;
            Ok(())
        })
    })
    .await
}

async fn balances(db: &Db, keys: &[AccountKey]) -> Vec<Account> {
    let ids: Vec<_> = keys.iter().map(AccountKey::id).collect();
    super::accounts(&db.read(&context()), db.kind(), &ids).await.expect("the balances")
}

fn history(seed: u8, length: usize) -> Vec<(Step, i64)> {
    let rng =
        proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng);
    let steps = proptest::collection::vec((step(), 0..20_i64), length);
    steps.new_tree(&mut runner).expect("a history").current()
}

/// What verification finds, `size` accounts at a time; it counts up to all of them.
async fn verified(store: &Store, size: usize) -> super::LedgerReport {
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |done, all| seen.lock().expect("sound").push((done, all));
    let reader = store.db.read(&context());
    let report = super::verify::in_lots_of(size, &reader, store.db.kind(), &note).await.expect("readable");
    let seen = seen.into_inner().expect("sound");
    assert!(seen.is_sorted() && seen.iter().all(|(done, all)| done <= all && *all == 3), "{seen:?}");
    report
}

for_each_database! { with store;
    async fn the_same_history_ends_at_the_same_balances_as_the_rules_alone(store: Store) {
        let opening = account(pool(), 1_000);
        let mut shelf = Shelf::with(vec![opening.clone()]);
        let (mut now, mut next, mut holds, mut captures) = (1, 0_u128, Vec::new(), Vec::new());
        for (step, wait) in history(7, 150) {
            now += wait;
            next += 1;
            let posting = shelf.posting(now, vec![action(&step, now, next, &holds, &captures)]);
            let expected = shelf.post_as(&crate::domain::ledger::tests::term(), &posting);
            let found = post(&store.db, &posting, std::slice::from_ref(&opening)).await;
            assert_eq!(found.is_ok(), expected.is_ok(), "{step:?} at {now}: {found:?}, rules: {expected:?}");
            if expected.is_err() {
                continue;
            }
            match step {
                Step::Hold { .. } => holds.push(next),
                Step::Capture { .. } | Step::Fresh { .. } => captures.push(next),
                _ => {}
            }
            let stored = balances(&store.db, &[pool()]).await;
            assert_eq!(stored, vec![shelf.accounts[&pool().id()].clone()], "after {step:?} at {now}");
        }
        assert!(next > 100 && !holds.is_empty() && !captures.is_empty(), "the history did something");
    }

    async fn inv_p1_the_database_itself_refuses_to_overdraw_a_layer(store: Store) {
        let mut shelf = Shelf::with(vec![account(pool(), 1_000)]);
        let posting = shelf.posting(1, vec![crate::domain::ledger::tests::spend(400)]);
        post(&store.db, &posting, &[account(pool(), 1_000)]).await.expect("there is room");
        for change in ["used = used + 601", "reserved = reserved + 601", "granted = 399", "used = -1", "overdrawn = -1"] {
            let refused = execute(&store.db, format!("UPDATE layer SET {change}")).await;
            assert!(matches!(refused, Err(DbError::Constraint { .. })), "{change}: {refused:?}");
        }
        execute(&store.db, "UPDATE layer SET used = used + 600".to_owned()).await.expect("to the brim");
    }

    async fn inv_p2_the_journal_refuses_every_change_and_every_repetition(store: Store) {
        let opening = account(pool(), 1_000);
        let mut shelf = Shelf::with(vec![opening.clone()]);
        let posting = shelf.posting(1, vec![crate::domain::ledger::tests::spend(400)]);
        post(&store.db, &posting, std::slice::from_ref(&opening)).await.expect("there is room");
        for table in ["posting", "posting_line", "posting_leg"] {
            for change in [format!("UPDATE {table} SET posting_id = posting_id"), format!("DELETE FROM {table}")] {
                let change = if table == "posting" { change.replace("posting_id", "id") } else { change };
                let refused = execute(&store.db, change.clone()).await;
                assert!(matches!(refused, Err(DbError::Constraint { .. })), "{change}: {refused:?}");
            }
        }
        let mut again = posting.clone();
        again.id = caremesh_kernel::PostingId::from_uuid(Uuid::from_u128(99));
        again.expected.insert(pool().id(), 1);
        let refused = post(&store.db, &again, &[opening]).await;
        assert!(matches!(refused, Err(Error::AlreadyPosted)), "{refused:?}");
    }

    async fn a_balance_that_was_changed_is_found_in_whatever_lot_its_account_is(store: Store) {
        let opening = account(pool(), 1_000);
        let mut shelf = Shelf::with(vec![opening.clone()]);
        let posting = shelf.posting(1, vec![crate::domain::ledger::tests::spend(400)]);
        post(&store.db, &posting, &[opening]).await.expect("there is room");
        // Two more accounts that nothing was posted to, before and after the first by id.
        for id in ["'aaa'", "'zzz'"] {
            let columns = "term_id, code, measure, scope_kind, scope_id, period, currency, when_full, version";
            execute(&store.db, format!("INSERT INTO account SELECT {id}, {columns} FROM account LIMIT 1")).await.expect("copied");
            let columns = "kind, ordinal, granted, 0, 0, 0, valid_from, valid_until, waiting_from, draw_order";
            let sql = format!("INSERT INTO layer SELECT {id}, {id}, {columns} FROM layer LIMIT 1");
            execute(&store.db, sql).await.expect("copied");
        }
        // Their granted amounts came with no posting.
        execute(&store.db, "UPDATE layer SET granted = 0 WHERE used = 0".to_owned()).await.expect("emptied");
        assert!(verified(&store, 1).await.is_clean(), "{:?}", verified(&store, 1).await);

        execute(&store.db, "UPDATE layer SET used = used + 1 WHERE used > 0".to_owned()).await.expect("changed");
        execute(&store.db, "UPDATE layer SET granted = 5 WHERE id = 'zzz'".to_owned()).await.expect("changed");
        for size in [1, 2, 3, 500] {
            let report = verified(&store, size).await;
            let found: Vec<_> = report.differences.iter().map(|it| (it.check.as_str(), it.stored, it.journal)).collect();
            assert_eq!(found, [("layer.granted", 5, 0), ("layer.used", 401, 400)], "in lots of {size}");
            assert_eq!((report.postings, report.layers), (1, 3));
        }
    }

    async fn a_posting_against_another_version_writes_nothing(store: Store) {
        let opening = account(pool(), 1_000);
        let mut shelf = Shelf::with(vec![opening.clone()]);
        let first = shelf.posting(1, vec![crate::domain::ledger::tests::spend(400)]);
        let late = shelf.posting(1, vec![crate::domain::ledger::tests::spend(400)]);
        post(&store.db, &first, std::slice::from_ref(&opening)).await.expect("there is room");
        let refused = post(&store.db, &late, &[opening]).await;
        assert!(matches!(refused, Err(Error::Ledger { .. })), "{refused:?}");
        assert_eq!(balances(&store.db, &[pool()]).await[0].version, 1);
    }
}

/// BEGIN, one read, one batch with the audit rows, COMMIT: counted on the wire, not believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_posting_is_four_round_trips_on_postgresql() {
    let Some(direct) = store(DatabaseKind::Postgres).await else { return };
    let proxy = CountingProxy::before(direct._database.url()).await.expect("a proxy");
    let mut config = Config::new(proxy.url());
    config.write_connections = 1;
    let db = Db::connect(config).await.expect("the store opens");
    let opening = account(pool(), 1_000);
    let mut shelf = Shelf::with(vec![opening.clone()]);
    let mut trips = Vec::new();
    for now in 1..=5 {
        let posting = shelf.posting(now, vec![crate::domain::ledger::tests::spend(10)]);
        shelf.post_as(&crate::domain::ledger::tests::term(), &posting).expect("there is room");
        let before = proxy.round_trips();
        post(&db, &posting, std::slice::from_ref(&opening)).await.expect("there is room");
        // The guard of the released connection speaks after the answer; wait for it, so that it counts where it belongs.
        tokio::time::sleep(Duration::from_millis(300)).await;
        trips.push(proxy.round_trips() - before);
    }
    // The first ones prepare their statements. The pool's guard looks at the connection once it is released, after the
    // answer: a fifth trip on the wire that no caller waits for.
    let guard = 1;
    assert!(trips[2..].iter().all(|trips| *trips <= 4 + guard), "{trips:?}");
    println!("round trips: {trips:?}");
}

async fn execute(db: &Db, sql: String) -> Result<(), DbError> {
    db.write(&context(), move |tx: &Tx| {
        let sql = sql.clone();
        Box::pin(async move { Ok(tx.execute_unprepared(&sql).await.map(drop)?) })
    })
    .await
}

#[test]
fn the_event_of_these_tests_is_the_one_that_was_seeded() {
    assert_eq!(event().member, MemberId::from_uuid(Uuid::from_u128(6)));
}
