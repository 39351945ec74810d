//! A change that carries a request_id: its key, the body that the key stands for, and how its outcome is answered. The
//! answer is kept with the change, so it is rendered inside the transaction; rendering itself is the transport's. Must not know what is asked for.

use prost::Message;

use crate::Answered;

/// A change as it was asked for, once.
#[derive(Clone, Debug)]
pub struct Once<R, O, T> {
    /// The caller's idempotency key.
    pub request_id: String,
    /// The request as it came; the key stands for this body and no other.
    pub request: R,
    /// How the outcome is answered.
    pub render: fn(&O) -> T,
}

impl<R: Message, O, T: Message> Once<R, O, T> {
    /// The answer of an outcome about a record.
    #[must_use]
    pub fn answered(&self, resource: impl ToString, version: i64, outcome: &O) -> Answered<T> {
        Answered { resource: resource.to_string(), version, answer: (self.render)(outcome) }
    }
}
