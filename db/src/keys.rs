//! Keys: a data key per person and service, wrapped by a rotating key and stored apart from the data, so that destroying
//! it erases what it sealed; and the service's own keys. Must not know which fields a service protects.

mod person;
mod provider;
mod rotation;
mod seal;
mod secrets;

pub use person::{Field, PersonKey, PersonKeys};
pub use provider::{KeyProvider, LocalKeys, Wrapped};
pub use rotation::{KeyStore, Rotation, rotate};
pub use seal::KeyBytes;
pub(crate) use seal::framed;
pub use secrets::Secrets;
