//! What these tests share: a migrated database, a table of balances to write to, and call contexts.

use std::time::Duration;

use caremesh_db::faults::Faults;
use caremesh_db::keys::{LocalKeys, Secrets};
use caremesh_db::{Batch, Config, Db, Expect, Kind, Parts, migration};
use caremesh_kernel::{IdSource as _, SystemIds};
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::{CallContext, Deadline, policy::Purpose};
use caremesh_testkit::database::{DatabaseKind, TestDatabase};
use sea_orm::{ConnectionTrait, Statement, Value};
use sea_orm_migration::prelude::*;

/// A database with the shared tables and one of our own, with its keys.
pub(crate) struct Store {
    pub(crate) database: TestDatabase,
    pub(crate) folder: tempfile::TempDir,
}

/// Prepares a store of a kind; `None` when this machine has no PostgreSQL, which was said aloud.
pub(crate) async fn store(kind: DatabaseKind) -> Option<Store> {
    let database = TestDatabase::migrated(kind, "db_kit", async |url| {
        let db = Db::connect(Config::new(url)).await?;
        db.migrate::<Migrator>().await?;
        db.drain(Duration::from_secs(5)).await;
        Ok(())
    })
    .await?;
    Some(Store { database, folder: tempfile::tempdir().expect("a temporary folder") })
}

impl Store {
    pub(crate) fn config(&self) -> Config {
        Config::new(self.database.url())
    }

    pub(crate) async fn parts(&self) -> Parts {
        let keys = LocalKeys::open_or_create(self.folder.path().join("keys.json")).expect("keys");
        let secrets = Secrets::derive(&keys, "svc-test").await.expect("secrets");
        Parts { secrets: Some(secrets), ..Parts::default() }
    }

    pub(crate) async fn open(&self) -> Db {
        Db::connect_with(self.config(), self.parts().await).await.expect("the store opens")
    }

    pub(crate) async fn open_with(&self, faults: Faults) -> Db {
        let parts = Parts { faults, ..self.parts().await };
        Db::connect_with(self.config(), parts).await.expect("the store opens")
    }
}

/// The shared tables, and `balance` as a stand-in for a service's own.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = migration::shared();
        all.extend(migration::keys());
        all.push(Box::new(Balance));
        all
    }
}

struct Balance;

impl MigrationName for Balance {
    fn name(&self) -> &str {
        "m20261121_000002_balance"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Balance {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE TABLE balance (id {id} PRIMARY KEY, version BIGINT NOT NULL, \
             used BIGINT NOT NULL, granted BIGINT NOT NULL, \
             CONSTRAINT balance_room CHECK (used <= granted)); \
             CREATE TABLE entry (id {id} PRIMARY KEY, balance {id} NOT NULL, amount BIGINT NOT NULL)";
        let dialect = migration::Dialect::of(manager.get_database_backend());
        manager.get_connection().execute_unprepared(&dialect.render(sql)).await?;
        Ok(())
    }
}

/// A context with ten seconds.
pub(crate) fn call() -> CallContext {
    call_within(Duration::from_secs(10))
}

/// A context with `span`.
pub(crate) fn call_within(span: Duration) -> CallContext {
    let deadline = Deadline::after(span);
    CallContext::for_process(workload(), "work", Purpose::Operations, SystemIds.uuid(), deadline)
}

/// The service these tests act as.
pub(crate) fn workload() -> SpiffeId {
    SpiffeId::new("caremesh.local", "svc-test").expect("a workload")
}

/// A statement with values, for the database at hand.
pub(crate) fn sql(kind: Kind, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(kind.backend(), text, values)
}

/// The single number a query gives.
pub(crate) async fn number(db: &Db, text: &str) -> i64 {
    let row = db.read(&call()).query_one_raw(sql(db.kind(), text, [])).await.expect("query").expect("a row");
    row.try_get_by_index(0).expect("a number")
}

/// Makes a balance of `granted`.
pub(crate) async fn grant(db: &Db, id: &'static str, granted: i64) {
    db.write(&call(), move |tx| {
        Box::pin(async move {
            let mut batch = Batch::new();
            let values = vec![id.into(), granted.into()];
            batch.push("balance", "INSERT INTO balance VALUES ($1, 0, 0, $2)", values, Expect::Rows(1));
            tx.apply(batch).await.map(|_| ())
        })
    })
    .await
    .expect("granted");
}

/// The statements of one posting of `amount` against version `version` of a balance.
pub(crate) fn posting(entry: &str, balance: &str, version: i64, amount: i64) -> Batch {
    let mut batch = Batch::new();
    let update = "UPDATE balance SET used = used + $3, version = version + 1 WHERE id = $1 AND version = $2";
    batch.push("balance", update, vec![balance.into(), version.into(), amount.into()], Expect::Rows(1));
    let insert = "INSERT INTO entry (id, balance, amount) VALUES ($1, $2, $3)";
    batch.push("entry", insert, vec![entry.into(), balance.into(), amount.into()], Expect::Rows(1));
    batch
}

/// The version of a balance, read inside a transaction.
pub(crate) async fn version_in<C: ConnectionTrait>(tx: &C, id: &str) -> Result<i64, caremesh_db::Error> {
    let text = "SELECT version FROM balance WHERE id = $1";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), text, [id.into()]);
    let row = tx.query_one_raw(statement).await?.expect("the balance exists");
    Ok(row.try_get_by_index(0)?)
}
