//! Opens the pools of a store: one for reading, one for writing, set as safely as each database allows.
//! Must not know tables.

use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::{Clock, IdSource, SystemClock, SystemIds};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use secrecy::ExposeSecret;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Faults;
use crate::guard::Guard;
use crate::idempotency::Running;
use crate::keys::Secrets;
use crate::{Config, Error, Kind};

/// Connections are replaced after this time, so that a server's fail-over and changed settings reach every one.
const MAX_LIFETIME: Duration = Duration::from_secs(600);
/// A connection idle for this long is asked for a sign of life before use; a busy one never is.
const PING_AFTER_IDLE: Duration = Duration::from_secs(30);

/// A service and its database are often started at the same time, and a busy machine gives a connection late: so long the
/// first one is asked for again.
const OPENING: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const OPENING_PAUSE: Duration = Duration::from_millis(200);

/// A store: a pool for reading, a pool for writing, and the transactions under way. A cheap clone.
///
/// The pools are not public: reads go through [`Db::read`], which wants a call context; writes through [`Db::write`], whose
/// transactions a dropped request cannot drop.
#[derive(Clone)]
pub struct Db {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) kind: Kind,
    pub(crate) config: Config,
    pub(crate) read: DatabaseConnection,
    pub(crate) write: DatabaseConnection,
    pub(crate) transactions: TaskTracker,
    pub(crate) parts: Parts,
    /// Counts commits with outbox rows: wakes the relay of this process.
    pub(crate) written: watch::Sender<u64>,
    /// The last place of the feed that this process knows of: wakes who waits for events.
    pub(crate) feed: watch::Sender<i64>,
    pub(crate) running: Running,
    pub(crate) guard: Guard,
    /// Cancelled when the store takes no new work.
    pub(crate) draining: CancellationToken,
}

/// What a store takes from its surroundings. The default is the machine's clock, fresh ids and no faults.
#[derive(Clone)]
pub struct Parts {
    /// Gives each transaction its one instant.
    pub clock: Arc<dyn Clock>,
    /// Gives outbox and audit rows their ids.
    pub ids: Arc<dyn IdSource>,
    /// Breaks transactions at named points, for tests of recovery.
    pub faults: Faults,
    /// The service's own keys; [`Db::idempotent`] needs them.
    pub secrets: Option<Secrets>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(SystemIds), faults: Faults::none(), secrets: None }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Db").field("kind", &self.inner.kind).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens both pools and proves with one connection each that the database answers, which may take a while to do so. A
    /// missing SQLite file is created.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong value; [`Error::Unreachable`] or [`Error::Overloaded`] when the database has not answered
    /// for ten seconds.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        Self::connect_with(config, Parts::default()).await
    }

    /// [`Db::connect`] with surroundings of the caller's choice.
    ///
    /// # Errors
    /// As [`Db::connect`].
    pub async fn connect_with(config: Config, parts: Parts) -> Result<Self, Error> {
        config.validate()?;
        let kind = config.kind()?;
        // The writer first: it creates the SQLite file and turns its journal to WAL.
        let guard = Guard::new();
        let write = patiently(&write_options(&config, kind, &guard)).await?;
        let read = patiently(&read_options(&config, kind)).await?;
        let transactions = TaskTracker::new();
        Ok(Self {
            inner: Arc::new(Inner {
                kind,
                config,
                read,
                write,
                transactions,
                parts,
                written: watch::Sender::new(0),
                feed: watch::Sender::new(0),
                running: Running::default(),
                guard,
                draining: CancellationToken::new(),
            }),
        })
    }

    /// Which database this store runs on.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Asks for a sign of life: for readiness. On SQLite only the readers are asked, because the one writer may be busy with
    /// a queue and is well all the same.
    ///
    /// # Errors
    /// [`Error::Overloaded`] or [`Error::Unreachable`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.read.ping().await?;
        if self.kind() == Kind::Postgres {
            self.inner.write.ping().await?;
        }
        Ok(())
    }

    /// Refuses new writes, waits for the transactions under way at most `limit`, then closes the pools.
    ///
    /// Returns whether every transaction ended in time.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.inner.draining.cancel();
        self.inner.transactions.close();
        let ended = tokio::time::timeout(limit, self.inner.transactions.wait()).await.is_ok();
        for pool in [&self.inner.read, &self.inner.write] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(error = %Error::from(error), "a database pool did not close cleanly");
            }
        }
        ended
    }
}

async fn patiently(options: &ConnectOptions) -> Result<DatabaseConnection, Error> {
    let until = Instant::now() + OPENING;
    loop {
        match Database::connect(options.clone()).await.map_err(Error::from) {
            Err(Error::Unreachable(_) | Error::Overloaded) if Instant::now() < until => {
                sleep(OPENING_PAUSE).await;
            }
            opened => return opened.map_err(never_opened),
        }
    }
}

/// What the database refuses before there is a connection (a wrong password, no such file) is as good as not there.
fn never_opened(error: Error) -> Error {
    if let Error::Refused(source) = error { Error::Unreachable(source) } else { error }
}

pub(crate) async fn open(options: ConnectOptions) -> Result<DatabaseConnection, Error> {
    Database::connect(options).await.map_err(|error| never_opened(error.into()))
}

fn common(config: &Config, kind: Kind, connections: u32) -> ConnectOptions {
    let address = match kind {
        Kind::Sqlite => config.url.expose_secret(),
        Kind::Postgres => "postgres://",
    };
    let mut options = ConnectOptions::new(address);
    options
        .max_connections(connections)
        .acquire_timeout(config.acquire_timeout(kind))
        // Statement text in logs and spans could carry what a person wrote.
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

fn write_options(config: &Config, kind: Kind, guard: &Guard) -> ConnectOptions {
    match kind {
        Kind::Sqlite => sqlite(config, 1, false),
        Kind::Postgres => {
            let (guard, mut options) = (guard.clone(), postgres(config, config.write_connections, false));
            options.map_sqlx_postgres_pool_opts(move |pool| guard.on_release(pool));
            options
        }
    }
}

fn read_options(config: &Config, kind: Kind) -> ConnectOptions {
    match kind {
        Kind::Sqlite => sqlite(config, config.read_connections, true),
        Kind::Postgres => postgres(config, config.read_connections, true),
    }
}

fn sqlite(config: &Config, connections: u32, reader: bool) -> ConnectOptions {
    let mut options = common(config, Kind::Sqlite, connections);
    let busy = config.acquire_timeout(Kind::Sqlite);
    options
        .test_before_acquire(false)
        // A file does not go away: closing and opening it again would only drop the page cache.
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(move |opts| sqlite_pragmas(opts, busy, reader));
    options
}

fn sqlite_pragmas(options: SqliteConnectOptions, busy: Duration, reader: bool) -> SqliteConnectOptions {
    let options = options
        .create_if_missing(!reader)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: an acknowledged commit survives a power cut, which NORMAL does not promise in WAL mode.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(busy);
    // What is deleted is overwritten: a destroyed key must not stay readable in a free page.
    if reader { options.pragma("query_only", "ON") } else { options.pragma("secure_delete", "ON") }
}

fn postgres(config: &Config, connections: u32, reader: bool) -> ConnectOptions {
    let mut options = common(config, Kind::Postgres, connections);
    let config = config.clone();
    options
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire_if_idle_for(PING_AFTER_IDLE)
        .map_sqlx_postgres_opts(move |_| postgres_session(&config, config.statement_timeout(), reader));
    options
}

/// Address and session settings of a connection. The address reaches sqlx here and nowhere else: sea-orm would put the one
/// it is given, password included, into a trace span.
fn postgres_session(config: &Config, statement_timeout: Duration, reader: bool) -> PgConnectOptions {
    let options: PgConnectOptions = config.url.expose_secret().parse().unwrap_or_default();
    options.disable_statement_logging().statement_cache_capacity(STATEMENTS_CACHED).options([
        ("statement_timeout", statement_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", config.idle_in_transaction_ms.to_string()),
        ("default_transaction_read_only", if reader { "on" } else { "off" }.to_owned()),
        // What a transaction runs looks rows up by key, and its values never change which way is best: it is planned once
        // for a connection's life, not five times. Lists are read with conditions that their values may rule out, so
        // there the server goes on weighing. Nothing here is worth compiling.
        ("plan_cache_mode", if reader { "auto" } else { "force_generic_plan" }.to_owned()),
        ("jit", "off".to_owned()),
        // What is read often lies in memory, and disks have no arms: an index costs what it costs there. By the server's
        // old default a young table, whose statistics are not yet taken, would be read whole.
        ("random_page_cost", "1.1".to_owned()),
    ])
}

/// Two connections, one of which holds the advisory lock: a migration may rewrite a large table.
pub(crate) fn migration_options(config: &Config) -> ConnectOptions {
    let mut options = common(config, Kind::Postgres, 2);
    let config = config.clone();
    options
        .acquire_timeout(Duration::from_secs(10))
        .map_sqlx_postgres_opts(move |_| postgres_session(&config, Duration::from_secs(600), false));
    options
}

/// A batch has one text per number of its statements, so a busy service knows more texts than sqlx's default of 100.
const STATEMENTS_CACHED: usize = 256;
