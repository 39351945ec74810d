//! The demo: invented people, and what they have bought, loaded through the public RPCs.
//! Must not know a service from inside.

mod people;

pub use people::{DemoPerson, Profile, find, people};
