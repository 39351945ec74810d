//! Why the ledger refuses a posting. A variant per thing that the caller would do differently; the wire's reasons
//! are chosen in `grpc/error.rs`.

use caremesh_kernel::{AccountId, HoldId, LayerId, PostingId};

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
    /// There is no such hold, or it is another service's.
    #[error("there is no such hold")]
    HoldUnknown {
        /// The hold.
        hold: HoldId,
    },
    /// Everything the hold kept was captured or released.
    #[error("the hold is closed")]
    HoldClosed {
        /// The hold.
        hold: HoldId,
    },
    /// A capture asks more than the hold keeps.
    #[error("more is captured than was held")]
    MoreThanHeld {
        /// The layer.
        layer: LayerId,
        /// What the hold keeps of it.
        held: i64,
    },
    /// The source has made no posting of this id that captured anything.
    #[error("there is no such capture")]
    CaptureUnknown {
        /// The posting.
        posting: PostingId,
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
    /// The account is not one that the plan opens.
    #[error("the plan has no such account")]
    AccountUnknown {
        /// The account.
        account: AccountId,
    },
    /// The plan has no such rule, or the rule does not grant this layer, this amount, or anything to this event.
    #[error("the plan does not grant this")]
    GrantUnknown {
        /// The account.
        account: AccountId,
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
