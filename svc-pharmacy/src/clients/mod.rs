//! The services that svc-pharmacy calls, as their contract has them. Must not know why they are called.

mod policy;

pub use policy::{CallError, PolicyClient};
