//! Why a use case did not do what it was asked: a variant per thing that a caller would do differently. The wire's
//! reasons and sentences are chosen in `grpc/error.rs`.

use caremesh_db::Error as DbError;

use crate::clients::CallError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, or a row that makes no sense.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// Another service could not be asked.
    #[error("another service could not be asked")]
    Call(#[from] CallError),
    /// Absent, or not for this caller to know.
    #[error("the resource was not found")]
    NotFound,
    /// A field breaks a rule that the contract cannot express.
    #[error("{field}: {rule}")]
    Field {
        /// Path as in the request.
        field: String,
        /// The rule, by a short name.
        rule: &'static str,
    },
    /// The resource is at another version than the caller read.
    #[error("the resource has changed since it was read")]
    Stale,
    /// The feed cursor is not one of this feed.
    #[error("the cursor is not one of this feed")]
    Cursor,
}
