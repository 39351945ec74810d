//! The kit on real databases: every test on SQLite and on PostgreSQL.

mod basics;
mod common;
