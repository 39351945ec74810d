//! Why a use case did not do what it was asked: a variant per thing that a caller would do differently. The wire's
//! reasons and sentences are chosen in `grpc/error.rs`.

use caremesh_db::Error as DbError;

use caremesh_kernel::{BranchId, PrescriptionId, ProductId};

use crate::clients::CallError;
use crate::domain::branch::Unlicensed;
use crate::domain::order::Refusal as OrderRefusal;
use crate::domain::prescription::{
    ControlRefusal, DocumentFault, FillRefusal, ItemFault, StateForbids, SubstitutionRefusal,
};
use crate::domain::stock::Refusal;
use crate::search::index::IndexError;

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
    /// The search engine did not answer.
    #[error("the search engine did not answer")]
    Search(#[from] IndexError),
    /// The feed cursor is not one of this feed.
    #[error("the cursor is not one of this feed")]
    Cursor,
    /// The rules of stock forbid it.
    #[error(transparent)]
    Stock(#[from] Refusal),
    /// Less is free than asked.
    #[error("less is free than asked")]
    Shortage {
        /// The nearest other branch that has it.
        next: Option<BranchId>,
    },
    /// A licence of the branch does not hold.
    #[error(transparent)]
    Unlicensed(#[from] Unlicensed),
    /// The caller is not registered as a pharmacist today.
    #[error("the caller is not registered as a pharmacist today")]
    NotRegistered,
    /// The same prescription of a consultation was issued before.
    #[error("the prescription was issued before")]
    AlreadyIssued(PrescriptionId),
    /// The state of the prescription or the item forbids it.
    #[error(transparent)]
    State(#[from] StateForbids),
    /// A controlled class forbids it.
    #[error(transparent)]
    Controlled(#[from] ControlRefusal),
    /// An item cannot be meant.
    #[error(transparent)]
    Item(#[from] ItemFault),
    /// The fill may not be handed out.
    #[error(transparent)]
    Fill(#[from] FillRefusal),
    /// The product may not take the prescribed one's place.
    #[error(transparent)]
    Substitution(#[from] SubstitutionRefusal),
    /// Safety findings that nobody has overridden, by their opaque ids; none: something could not be checked.
    #[error("a safety finding has not been overridden")]
    Unsafe {
        /// The findings.
        issues: Vec<String>,
    },
    /// The caller does not hold the lease on this prescription.
    #[error("the verification is not the caller's")]
    NotYours,
    /// The paper was used before.
    #[error("the paper was used before")]
    PaperUsed,
    /// The upload's time is over.
    #[error("the upload's time is over")]
    UploadExpired,
    /// The receipt is not one of the gateway for this document, or tells of other bytes than were announced.
    #[error("the document is not the announced one")]
    OtherDocument,
    /// Not all bytes of the document have arrived.
    #[error("not all bytes of the document have arrived")]
    Incomplete,
    /// The document is none, or damaged.
    #[error(transparent)]
    Document(#[from] DocumentFault),
    /// A product is not in the catalogue, has no price, or is no longer sold.
    #[error("a product is not sold")]
    NotSold(ProductId),
    /// The member would pay more than was agreed to.
    #[error("the price is higher than agreed")]
    Price {
        /// The own share now, minor units.
        member: i64,
    },
    /// A line is not sold over the counter and has no verified prescription.
    #[error("a line needs a verified prescription")]
    Prescription {
        /// The line.
        sequence: u32,
    },
    /// The order does not allow it.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
}
