//! The states of a policy and the transitions between them that exist so far. A state is a value; a transition
//! consumes it and gives the next one, or refuses.

use caremesh_kernel::Timestamp;

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// Bought; waits for the premium until the quote's time is over.
    PendingPayment {
        /// The first instant at which it can no longer be paid.
        expires: Timestamp,
    },
    /// In force since its first payment; events from the start date on are covered.
    Active {
        /// When the payment rule was met.
        since: Timestamp,
    },
    /// Never paid in time.
    ExpiredQuote,
}

impl PolicyState {
    /// The state of a policy at its purchase: active when the premium came before it.
    #[must_use]
    pub fn bought(expires: Timestamp, paid: bool, now: Timestamp) -> Self {
        if paid { Self::Active { since: now } } else { Self::PendingPayment { expires } }
    }

    /// The state as it is at an instant: time alone ends an unpaid policy, at the instant of expiry.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self {
            Self::PendingPayment { expires } if now >= expires => Self::ExpiredQuote,
            other => other,
        }
    }

    /// The first premium was received at an instant. Answers the next state and whether this payment activated it;
    /// asking again is not an error.
    ///
    /// # Errors
    /// [`NeverPaid`] when the payment came too late.
    pub fn paid(self, received: Timestamp, now: Timestamp) -> Result<(Self, bool), NeverPaid> {
        match self.at(received) {
            Self::PendingPayment { .. } => Ok((Self::Active { since: now }, true)),
            Self::Active { since } => Ok((Self::Active { since }, false)),
            Self::ExpiredQuote => Err(NeverPaid),
        }
    }

    /// Whether events on days of cover are paid for.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingPayment { .. } => "PENDING_PAYMENT",
            Self::Active { .. } => "ACTIVE",
            Self::ExpiredQuote => "EXPIRED_QUOTE",
        }
    }
}

/// The policy was not paid before its quote expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quote expired before the payment")]
pub struct NeverPaid;
