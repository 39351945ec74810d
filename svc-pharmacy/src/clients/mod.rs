//! The services that svc-pharmacy calls, as their contract has them. Must not know why they are called.

mod documents;
mod policy;

pub use documents::Documents;
pub use policy::{CallError, PolicyClient};
