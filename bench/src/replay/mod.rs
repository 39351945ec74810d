//! The peer for anything that stands on PostgreSQL: pgbench running the very statements that Caremesh ran,
//! with the same values and the same commits, against the same database as it was before.
//!
//! Caremesh runs once with the server's statement log on; the log becomes one script per client; the database
//! is put back; pgbench runs the scripts. Nothing of the work is left out and nothing is written by hand.

pub(crate) mod log;
pub(crate) mod script;
