//! What every store needs, once: pools, owned transactions, batches, idempotency, outbox and feed, process rows, audit,
//! field keys and the migrations of the tables that these use. Knows no domain, no transport and no service.
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
//! | `outbox.rs` | [`Tx::emit`]: events in the business transaction |
//! | `feed.rs` | the relay that places events, the feed, consumers with dead letters |
//! | `process.rs` | flows across services as rows, their runner, and their rehearsal for tests |
//! | `keys.rs` | keys of a service and of each person |
//! | `batch.rs` | [`Batch`]: many changes, one round trip |
//! | `observe.rs` | spans and counts per statement, without SQL text |
//! | `migration.rs` | the shared tables; `migrate` and `check_schema` |
//! | `audit.rs` | audit events, committed with the write or in groups before a read's answer |
//! | `rows.rs` | many rows in one parameter |
//! | `error.rs` | [`Error`]: what a caller can act upon |
//!
//! # A write
//!
//! ```ignore
//! db.write(&ctx, move |tx| {
//!     let input = input.clone();            // the work may run again after a collision
//!     Box::pin(async move {
//!         let found = store::accounts_in(tx, &input).await?;   // one read
//!         let decided = domain::decide(found, &input)?;
//!         tx.emit(event);                                      // outbox row, same transaction
//!         ctx.touched(…);                                      // audit row, same transaction
//!         tx.apply(decided.into_batch()).await?;               // one round trip for everything
//!         Ok(decided.answer())
//!     })
//! })
//! .await
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
mod idempotency;
pub mod keys;
pub mod migration;
mod observe;
mod outbox;
mod own;
pub mod process;
mod read;
mod rows;
mod tx;

pub use batch::{Batch, Expect};
pub use config::{Config, Kind};
pub use connect::{Db, Parts};
pub use error::Error;
pub use idempotency::{Answered, KEPT_MICROS as IDEMPOTENCY_KEPT_MICROS, Replay};
pub use outbox::NewEvent;
pub use read::Reader;
pub use tx::{Tx, Work};
