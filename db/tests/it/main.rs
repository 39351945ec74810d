//! The kit on real databases: every test on SQLite and on PostgreSQL.

mod audit;
mod basics;
mod cancel;
mod common;
mod cost;
mod feed;
mod idempotent;
mod keys;
mod process;
