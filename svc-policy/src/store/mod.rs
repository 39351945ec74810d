//! Where svc-policy keeps what it decided. The only room that names sea-orm and SQL: one file per aggregate; rows are
//! turned into domain values in `convert.rs`. It decides nothing.

mod columns;
mod error;
pub mod ledger;
pub(crate) mod life;
pub(crate) mod party;
pub(crate) mod person;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod proposal;
pub(crate) mod quote;
pub(crate) mod reminder;
mod scope;

use caremesh_kernel::{Id, Kind};

pub use error::Error;
pub(crate) use scope::Scope;

/// An id out of a column.
fn parse_id<K: Kind>(text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|_| Error::Corrupt("a column holds no id of its kind"))
}
