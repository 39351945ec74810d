//! What every store needs, once: pools, owned transactions, batches, idempotency, outbox and feed, process rows, audit,
//! field keys and the migrations of the tables that these use. Knows no domain and no service; of transport, only
//! `host.rs` knows, which puts a service's stores and its server together.
//!
//! # Map
//!
//! | file | what |
//! |---|---|
//! | `config.rs`, `connect.rs` | [`Db`]: a read pool and a write pool, set safely for SQLite and PostgreSQL |
//! | `guard.rs` | keeps a poisoned connection out of the write pool (sqlx 0.9.0) |
//! | `read.rs` | [`Db::read`]: statements outside a transaction, within the call's deadline |
//! | `tx.rs`, `own.rs` | [`Tx`] and [`Db::write`]: a transaction that a dropped request cannot drop; `faults.rs` breaks it for tests |
//! | `idempotency.rs` | [`Db::idempotent`]: a request_id takes effect once |
//! | `once.rs` | [`Once`]: a change with its request_id and how it is answered |
//! | `outbox.rs` | [`Tx::emit`]: events in the business transaction |
//! | `feed.rs` | the relay that places events, the feed, consumers with dead letters |
//! | `process.rs` | flows across services as rows, their runner, and their rehearsal for tests |
//! | `keys.rs` | keys of a service and of each person |
//! | `host.rs` | what every service does alike around its domain: opening, serving, ending, an operator's commands |
//! | `batch.rs` | [`Batch`]: many changes, one round trip |
//! | `observe.rs` | spans and counts per statement, without SQL text |
//! | `migration.rs` | the shared tables; `migrate` and `check_schema` |
//! | `audit.rs` | audit events, committed with the write or in groups before a read's answer |
//! | `sql.rs` | the words in which the two databases differ; many rows in one parameter |
//! | `error.rs` | [`Error`]: what a caller can act upon |
//!
//! # A write
//!
//! ```no_run
//! # use caremesh_db::{Batch, Db, Error, Expect, NewEvent, Tx};
//! # use caremesh_mesh::{CallContext, Touched};
//! # use sea_orm::{ConnectionTrait, Statement};
//! # async fn example(db: Db, ctx: CallContext, select: Statement, event: NewEvent) -> Result<(), Error> {
//! db.write(&ctx, move |tx: &Tx| {
//!     let (select, event) = (select.clone(), event.clone());   // the work may run again after a collision
//!     Box::pin(async move {
//!         let found = tx.query_one_raw(select).await?;         // one read
//!         let version: i64 = found.ok_or(Error::Corrupt("no account"))?.try_get_by_index(0)?;
//!         let mut batch = Batch::new();                        // what the domain decided
//!         let sql = "UPDATE account SET version = version + 1 WHERE version = $1";
//!         batch.push("account", sql, vec![version.into()], Expect::Rows(1));
//!         tx.emit([event]);                                    // outbox row, same transaction
//!         tx.context().touched(Touched::read(None, "acc_1"));  // audit row, same transaction
//!         tx.apply(batch).await?;                              // one round trip for everything
//!         Ok::<_, Error>(())
//!     })
//! })
//! .await
//! # }
//! ```
//!
//! BEGIN, the read, the batch and COMMIT: four round trips.

pub mod audit;
mod batch;
mod config;
mod connect;
mod error;
pub mod faults;
pub mod feed;
mod guard;
pub mod host;
mod idempotency;
pub mod keys;
pub mod migration;
mod observe;
mod once;
mod outbox;
mod own;
pub mod process;
mod read;
pub mod sql;
mod tx;

pub use batch::{Batch, Expect};
pub use config::{Config, Kind};
pub use connect::{Db, Parts};
pub use error::Error;
pub use idempotency::{Answered, KEPT_MICROS as IDEMPOTENCY_KEPT_MICROS, Replay};
pub use once::Once;
pub use outbox::NewEvent;
pub use read::{Progress, Reader};
pub use tx::{Tx, Work};
