//! The demo: invented people, and what they have bought, loaded through the public RPCs.
//! Must not know a service from inside.

mod load;
mod medicines;
mod people;
mod pharmacy;
mod purchases;

pub use load::{Loader, Signer};
pub use people::{DemoPerson, PersonIds, Profile, find, people};
pub use purchases::{Purchase, digest, purchases};
