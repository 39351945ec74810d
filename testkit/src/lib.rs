//! What tests share: databases, clock, identities, recorders, builders.

mod broken;
pub mod contract;
pub mod database;
pub mod fault;
pub mod http2;
pub mod identity;
pub mod insured;
pub mod logs;
pub mod mesh;
pub mod otlp;
pub mod seen;
pub mod weather;
