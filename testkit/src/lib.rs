//! What tests share: databases, clock, identities, recorders, builders.

pub mod database;
pub mod seen;
