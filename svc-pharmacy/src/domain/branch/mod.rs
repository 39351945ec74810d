//! Branches of the chain: which licences hold on a day, who is a pharmacist there, how far it is. Knows no stock.

mod distance;
mod licence;

pub use distance::{Point, metres_between, nearest_first};
pub use licence::{Licence, LicenceKind, Registration, Unlicensed, may_dispense};
