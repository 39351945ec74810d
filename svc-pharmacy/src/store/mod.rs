//! Where svc-pharmacy keeps what it decided. The only room that names sea-orm and SQL: one file per aggregate. It decides
//! nothing.

pub(crate) mod branch;
mod error;
pub(crate) mod fill;
pub(crate) mod goods;
pub(crate) mod medicine;
pub mod order;
pub(crate) mod prescription;
pub(crate) mod product;
pub(crate) mod queue;
pub(crate) mod reference;
pub(crate) mod safety;
pub(crate) mod stock;

use caremesh_kernel::{Date, Id, Kind};

pub use error::Error;

/// An id out of a column.
fn parse_id<K: Kind>(text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|_| Error::Corrupt("a column holds no id of its kind"))
}

/// A day out of a column.
fn parse_date(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::Corrupt("a column holds no day"))
}
