//! Why a use case did not do what it was asked: a variant per thing that a caller would do differently. The wire's
//! reasons and sentences are chosen in `grpc/error.rs`.

use caremesh_db::Error as DbError;

use crate::domain::account::Account;
use crate::domain::ledger::LedgerRefusal;
use crate::domain::life::ChangeRefusal;
use crate::domain::policy::{NotNow, PaymentRefusal, PurchaseRefusal};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, or a row that makes no sense.
    #[error("the store failed")]
    Store(#[from] DbError),
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
    /// The page token is forged, expired, or of another query or caller.
    #[error("the page token does not belong to this query")]
    PageToken,
    /// The feed cursor is not one of this feed.
    #[error("the cursor is not one of this feed")]
    Cursor,
    /// The ledger refuses the posting.
    #[error("the ledger refuses the posting")]
    Ledger {
        /// Why.
        #[source]
        refusal: LedgerRefusal,
        /// The touched accounts as they are now, for those refusals that mean "price again".
        balances: Vec<Account>,
    },
    /// It is another source's turn on this term, after several were in each other's way.
    #[error("another source posts first")]
    NotYourTurn {
        /// The touched accounts as they are now.
        balances: Vec<Account>,
    },
    /// The same part of the same line was posted before by another request.
    #[error("this part was posted before")]
    AlreadyPosted,
    /// A posting lost against another one between its reading and its writing: it is tried again.
    #[error("the posting collided with another one")]
    Collided,
    /// The quote cannot be bought.
    #[error("the quote cannot be bought")]
    Purchase(#[from] PurchaseRefusal),
    /// The payment is not booked.
    #[error("the payment is not booked")]
    Payment(#[from] PaymentRefusal),
    /// The proposal does not stand where this can be done.
    #[error("the proposal does not stand where this can be done")]
    Proposal(NotNow),
    /// An underwriter must accept the quote first.
    #[error("an underwriter must accept the quote first")]
    NotAccepted,
    /// The payment reference was recorded before for something else.
    #[error("the payment reference was recorded before for something else")]
    ReferenceReused,
    /// The policy cannot be changed so.
    #[error("the policy cannot be changed so")]
    Change(#[from] ChangeRefusal),
    /// The plan does not sell what is asked.
    #[error("the offer is refused: {0}")]
    Offer(Offer),
    /// The lines cannot be priced.
    #[error("line {line}: {field} {rule}")]
    Line {
        /// Sequence of the line; 0 for the event.
        line: u32,
        /// The field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// No term of the member covers the day.
    #[error("there is no cover on the event date")]
    NoCover,
    /// The snapshot was changed, or is not one that was given out.
    #[error("the snapshot is not one that was given out")]
    Snapshot,
    /// An amount is in another currency than the policy.
    #[error("another currency than the policy's")]
    OtherCurrency,
}

/// Why an offer is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Offer {
    /// The plan version is not sold for this start date.
    #[error("the plan is not on sale")]
    NotOnSale,
    /// The plan does not offer this sum insured.
    #[error("the sum insured is not offered")]
    SumInsured,
    /// The start date is before today, or too far ahead.
    #[error("the start date is not allowed")]
    StartDate,
    /// Cover with another insurer ended too long ago.
    #[error("the prior cover is not credited")]
    PriorCover,
    /// A relation, an age or a number breaks a rule of the plan.
    #[error("the family is not allowed: {rule}")]
    Family {
        /// Whose relation or age it is; none when it is the number.
        member: Option<usize>,
        /// The rule, by a short name.
        rule: &'static str,
    },
}
