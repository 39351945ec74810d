//! A database of its own for every test, SQLite and PostgreSQL alike.
//! Must not know tables: a test brings its own migration.
//!
//! PostgreSQL comes from `CAREMESH_TEST_POSTGRES_URL` when `with-postgres` started one server for all test processes of a
//! run, and from a server of this process otherwise. Where PostgreSQL is not installed the test says SKIPPED on standard
//! error, past the capture of the test harness; with `CAREMESH_REQUIRE_POSTGRES=1` (CI) it fails instead.

mod cluster;
mod postgres;
mod proxy;
mod sqlite;

use std::io::Write as _;

pub use cluster::{Cluster, Durability, program};
pub use proxy::CountingProxy;

/// The two databases every store is proven on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseKind {
    /// One file in a temporary folder.
    Sqlite,
    /// A database on a server that the test set-up started.
    Postgres,
}

/// A database that only one test knows. Dropping it removes it.
#[derive(Debug)]
pub struct TestDatabase {
    kind: DatabaseKind,
    url: String,
    _keep: Keep,
}

/// What has to stay alive, and to be removed with the test.
#[derive(Debug)]
enum Keep {
    Folder { _folder: tempfile::TempDir },
    Database { _database: postgres::Owned },
}

impl TestDatabase {
    /// An empty database, or `None` (said aloud) when this machine has no PostgreSQL and CI does not require it.
    ///
    /// # Panics
    /// When the database cannot be made: a test must not go on without it.
    pub async fn empty(kind: DatabaseKind) -> Option<Self> {
        Self::migrated(kind, "empty", async |_| Ok(())).await
    }

    /// A copy of a template that `migrate` (given its URL) fills once per test process. `template` names the schema.
    ///
    /// # Panics
    /// When the template or its copy cannot be made.
    pub async fn migrated<M>(kind: DatabaseKind, template: &'static str, migrate: M) -> Option<Self>
    where
        M: AsyncFnOnce(String) -> anyhow::Result<()>,
    {
        let made = match kind {
            DatabaseKind::Sqlite => sqlite::copy_of(template, migrate).await.map(Some),
            DatabaseKind::Postgres => postgres::copy_of(template, migrate).await,
        };
        made.unwrap_or_else(|error| panic!("no {kind:?} test database: {error:#}"))
    }

    /// Which database this is.
    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Address for a store's configuration.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Says on the real standard error that a test did not run. The harness captures `println!` of passing tests, and a skip
/// that nobody sees is a pass that proves nothing.
///
/// # Panics
/// When `CAREMESH_REQUIRE_POSTGRES=1`: CI must not skip.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, which has no configuration")]
pub(crate) fn skipped(reason: &str) {
    assert!(
        std::env::var("CAREMESH_REQUIRE_POSTGRES").as_deref() != Ok("1"),
        "CAREMESH_REQUIRE_POSTGRES=1, but {reason}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    drop(writeln!(std::io::stderr(), "SKIPPED {test}: {reason}"));
}

/// Runs each test on both databases: `name::on_sqlite` and `name::on_postgres`.
///
/// The first line names an async function `fn(DatabaseKind) -> Option<Fixture>` that prepares what a test needs; `None`
/// means that PostgreSQL is missing, which [`TestDatabase`] has said aloud.
///
/// ```
/// use caremesh_testkit::database::TestDatabase;
/// use caremesh_testkit::for_each_database;
///
/// for_each_database! { with TestDatabase::empty;
///     async fn a_database_of_its_own_has_an_address(database: TestDatabase) {
///         assert!(database.url().contains(':'));
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! for_each_database {
    (with $prepare:path; $( $(#[$meta:meta])* async fn $name:ident($fixture:ident: $type:ty) $body:block )+) => { $(
        mod $name {
            use super::*;

            async fn holds($fixture: $type) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_sqlite() {
                if let Some(fixture) = $prepare($crate::database::DatabaseKind::Sqlite).await {
                    holds(fixture).await;
                }
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_postgres() {
                if let Some(fixture) = $prepare($crate::database::DatabaseKind::Postgres).await {
                    holds(fixture).await;
                }
            }
        }
    )+ };
}
