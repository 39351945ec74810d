//! Where svc-pharmacy keeps what it decided. The only room that names sea-orm and SQL: one file per aggregate. It decides
//! nothing.

pub(crate) mod access;
mod error;
mod sql;

pub use error::Error;
