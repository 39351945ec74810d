//! The services that svc-pharmacy calls, as their contract has them. Must not know why they are called.

mod documents;
mod policy;

pub use documents::Documents;
mod benefit;
pub use benefit::{About, Billed, Movement};
pub use policy::{CallError, PolicyClient};
