//! The tables that every service shares, as migrations its own Migrator includes, and the two ways to meet a schema:
//! `migrate` brings it up to this release, `check` refuses to serve on another. Must not know a service's own tables.

mod shared;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationStatus, MigrationTrait, MigratorTrait};

use crate::{Db, Error, Kind, connect};

/// Held while one process migrates, so that replicas that start together do it one after the other. "caremesh" in ASCII.
const ADVISORY_LOCK: i64 = 0x6361_7265_6d65_7368;

/// Migrations of the shared tables; a service's Migrator puts them before its own.
#[must_use]
pub fn shared() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(shared::SharedTables)]
}

/// Migrations of the store of data keys, which lives apart from the data it opens.
#[must_use]
pub fn keys() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(shared::KeyTables)]
}

/// Words that differ between the two databases, for migrations that are written as SQL text.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Type of an id or any other text that is compared bytewise.
    pub id: &'static str,
    /// Type of raw bytes.
    pub bytes: &'static str,
    /// Primary key that the database counts up.
    pub counter: &'static str,
}

impl Dialect {
    /// The words of the database that `manager` migrates.
    #[must_use]
    pub fn of(backend: sea_orm::DbBackend) -> Self {
        match backend {
            sea_orm::DbBackend::Postgres => Self {
                id: "TEXT COLLATE \"C\"",
                bytes: "BYTEA",
                counter: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            },
            _ => Self { id: "TEXT", bytes: "BLOB", counter: "INTEGER PRIMARY KEY AUTOINCREMENT" },
        }
    }

    /// Replaces `{id}`, `{bytes}`, `{counter}` and `{instant}` (whole microseconds UTC) in a migration's text.
    #[must_use]
    pub fn render(&self, sql: &str) -> String {
        sql.replace("{id}", self.id)
            .replace("{bytes}", self.bytes)
            .replace("{counter}", self.counter)
            .replace("{instant}", "BIGINT")
    }
}

impl Db {
    /// Brings the schema up to this release. On PostgreSQL one process at a time, behind an advisory lock, on connections
    /// whose statements may take ten minutes.
    ///
    /// # Errors
    /// [`Error::Schema`] when a newer release migrated this database; [`Error::Refused`] when a migration fails.
    pub async fn migrate<M: MigratorTrait>(&self) -> Result<(), Error> {
        if self.kind() == Kind::Sqlite {
            return up::<M>(&self.inner.write).await;
        }
        let pool = connect::open(connect::migration_options(&self.inner.config)).await?;
        let outcome = migrate_alone::<M>(&pool).await;
        pool.close().await?;
        outcome
    }

    /// Refuses a database whose schema is not exactly that of this release; changes nothing.
    ///
    /// # Errors
    /// [`Error::Schema`] naming the migrations that are missing or unknown.
    pub async fn check_schema<M: MigratorTrait>(&self) -> Result<(), Error> {
        let missing = pending::<M>(&self.inner.read).await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Schema(format!("run `caremesh migrate`; missing: {}", missing.join(", "))))
    }
}

/// The lock belongs to a session, so it ends with its connection even when this process dies.
async fn migrate_alone<M: MigratorTrait>(pool: &DatabaseConnection) -> Result<(), Error> {
    let mut session = pool.get_postgres_connection_pool().acquire().await.map_err(Error::from_driver)?;
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(ADVISORY_LOCK);
    lock.execute(&mut *session).await.map_err(Error::from_driver)?;
    let outcome = up::<M>(pool).await;
    session.close().await.map_err(Error::from_driver)?;
    outcome
}

async fn up<M: MigratorTrait>(pool: &DatabaseConnection) -> Result<(), Error> {
    pending::<M>(pool).await?;
    Ok(M::up(pool, None).await?)
}

/// Names of migrations this release has and the database has not. A database that a newer release migrated is refused.
async fn pending<M: MigratorTrait>(pool: &DatabaseConnection) -> Result<Vec<String>, Error> {
    let all = M::get_migration_with_status_read_only(pool).await.map_err(|error| match error {
        DbErr::Custom(unknown) => Error::Schema(format!("a newer release migrated this database: {unknown}")),
        other => other.into(),
    })?;
    let pending = all.iter().filter(|migration| migration.status() == MigrationStatus::Pending);
    Ok(pending.map(|migration| migration.name().to_owned()).collect())
}
