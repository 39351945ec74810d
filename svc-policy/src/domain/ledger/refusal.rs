//! Why the ledger refuses a posting. A variant per thing that the caller would do differently; the wire's reasons
//! are chosen in `grpc/error.rs`.

use caremesh_kernel::{AccountId, HoldId, LayerId};

/// Why nothing of the posting was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerRefusal {
    /// An account has moved since the caller read it: read again, price again.
    #[error("an account is at another version than the caller read")]
    Stale,
    /// A fresh draw did not say which version of the account it was priced against.
    #[error("a draw names no version of its account")]
    VersionMissing {
        /// The account.
        account: AccountId,
    },
    /// The layer has less room than the leg asks, at the version the caller read.
    #[error("a layer has less room than is asked")]
    Exhausted {
        /// The layer.
        layer: LayerId,
        /// What is left of it, at least 0.
        room: i64,
    },
    /// There is no such layer on the account, or it is not valid on the event date.
    #[error("the layer is not open on the event date")]
    LayerNotOpen {
        /// The layer.
        layer: LayerId,
    },
    /// The hold has expired and its room has gone to others.
    #[error("the hold has expired and its room is taken")]
    HoldExpired {
        /// The hold.
        hold: HoldId,
    },
    /// The hold is unknown, or everything it kept was captured or released.
    #[error("the hold is not open")]
    HoldNotOpen {
        /// The hold.
        hold: HoldId,
    },
    /// A capture asks more than the holds keep, in a leg that is not marked as fresh.
    #[error("more is captured than was held")]
    MoreThanHeld {
        /// The layer.
        layer: LayerId,
        /// What the holds keep of it.
        held: i64,
    },
    /// A reversal asks more than the source captured there and has not yet reversed.
    #[error("more is reversed than was captured")]
    MoreThanCaptured {
        /// The layer.
        layer: LayerId,
        /// What can still be reversed.
        captured: i64,
    },
    /// Counts and days come back only when the event did not happen.
    #[error("a count does not come back from an event that happened")]
    CountStays {
        /// The account.
        account: AccountId,
    },
    /// The layer was restored before.
    #[error("the account was restored before under this rule")]
    AlreadyRestored {
        /// The layer.
        layer: LayerId,
    },
    /// Another layer of the account still has room.
    #[error("the account is not exhausted")]
    NotExhausted {
        /// The account.
        account: AccountId,
    },
    /// Lowering a layer below its use needs a recovery.
    #[error("a layer is lowered below its use without a recovery")]
    RecoveryMissing {
        /// The layer.
        layer: LayerId,
        /// By how much use would exceed the grant.
        short: i64,
    },
    /// No cover on the event date.
    #[error("there is no cover on the event date")]
    NoCover,
    /// The term takes no draws any more.
    #[error("the term is closed")]
    TermClosed,
    /// The posting contradicts itself; the text names the field and the rule and holds no data.
    #[error("{field}: {rule}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
}
