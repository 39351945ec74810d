//! Who calls: a person by token, a workload by certificate, verified at every hop.
//! Must not know any method or who may call it: that is access.

mod spiffe;

pub use spiffe::{SpiffeError, SpiffeId};
