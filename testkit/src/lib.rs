//! What tests share: databases, clock, identities, recorders, builders.

pub mod broken;
pub mod database;
pub mod identity;
pub mod logs;
pub mod mesh;
pub mod otlp;
pub mod seen;
