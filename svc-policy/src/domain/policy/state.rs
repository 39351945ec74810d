//! The states of a policy and the transitions between them. A state is a value; a transition consumes it and gives the
//! next one, or refuses. What is not in `after` does not exist.

use caremesh_kernel::{Date, Timestamp};

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
    /// A premium is overdue and can still be paid.
    InGrace {
        /// When the payment rule was met.
        since: Timestamp,
        /// The first day on which it is too late.
        until: Date,
    },
    /// The grace days passed without the premium.
    Lapsed {
        /// When the payment rule was met.
        since: Timestamp,
        /// The first day without cover.
        on: Date,
    },
    /// Ended before its time.
    Cancelled {
        /// When the payment rule was met.
        since: Timestamp,
        /// The first day without cover.
        on: Date,
    },
    /// The last term ended without a renewal.
    Expired {
        /// When the payment rule was met.
        since: Timestamp,
        /// The first day without cover.
        on: Date,
    },
    /// Never paid in time.
    ExpiredQuote,
}

/// What happens to a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// The first premium was received.
    FirstPremium {
        /// When it was booked.
        at: Timestamp,
    },
    /// The time for the first premium is over.
    QuoteOver,
    /// The due day of a premium passed.
    Overdue {
        /// The first day on which it is too late.
        until: Date,
    },
    /// What was overdue was paid in time.
    Settled,
    /// The grace days passed.
    GraceOver {
        /// The first day without cover.
        on: Date,
    },
    /// The policyholder cancels.
    Cancel {
        /// The first day without cover.
        on: Date,
    },
    /// The last term is over.
    TermOver {
        /// The first day without cover.
        on: Date,
    },
    /// A payment that was made in time is booked after its policy lapsed.
    Reinstate,
    /// The next term is paid.
    Renew,
}

/// The transition does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy's state does not allow it")]
pub struct NotAllowed;

impl PolicyState {
    /// The state of a policy at its purchase: active when the premium came before it.
    #[must_use]
    pub fn bought(expires: Timestamp, paid: bool, now: Timestamp) -> Self {
        if paid { Self::Active { since: now } } else { Self::PendingPayment { expires } }
    }

    /// The next state.
    ///
    /// # Errors
    /// [`NotAllowed`] for every transition that is not listed here.
    pub fn after(self, event: LifeEvent) -> Result<Self, NotAllowed> {
        use LifeEvent as On;
        Ok(match (self, event) {
            (Self::PendingPayment { .. }, On::FirstPremium { at }) => Self::Active { since: at },
            (Self::PendingPayment { .. }, On::QuoteOver) => Self::ExpiredQuote,
            (Self::Active { since }, On::Overdue { until }) => Self::InGrace { since, until },
            (Self::InGrace { since, .. }, On::Settled) => Self::Active { since },
            (Self::InGrace { since, .. }, On::GraceOver { on }) => Self::Lapsed { since, on },
            (Self::Active { since } | Self::InGrace { since, .. }, On::Cancel { on }) => {
                Self::Cancelled { since, on }
            }
            (Self::Active { since } | Self::InGrace { since, .. }, On::TermOver { on }) => {
                Self::Expired { since, on }
            }
            (Self::Lapsed { since, .. }, On::Reinstate) => Self::Active { since },
            (Self::Active { since } | Self::Expired { since, .. }, On::Renew) => Self::Active { since },
            _ => return Err(NotAllowed),
        })
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
            Self::ExpiredQuote => Err(NeverPaid),
            pending @ Self::PendingPayment { .. } => {
                let next = pending.after(LifeEvent::FirstPremium { at: now }).map_err(|_| NeverPaid)?;
                Ok((next, true))
            }
            other => Ok((other, false)),
        }
    }

    /// Whether it is in force today, whatever its days of cover are.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Active { .. } | Self::InGrace { .. })
    }

    /// Whether events on days of cover are paid for. Those of a policy that has ended are: cover is asked about the day of
    /// the event, never about today.
    #[must_use]
    pub fn pays(self) -> bool {
        !matches!(self, Self::PendingPayment { .. } | Self::ExpiredQuote)
    }

    /// When the payment rule was met.
    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::PendingPayment { .. } | Self::ExpiredQuote => None,
            Self::Active { since }
            | Self::InGrace { since, .. }
            | Self::Lapsed { since, .. }
            | Self::Cancelled { since, .. }
            | Self::Expired { since, .. } => Some(since),
        }
    }

    /// The first day without cover of a policy that has ended.
    #[must_use]
    pub fn ended_on(self) -> Option<Date> {
        match self {
            Self::Lapsed { on, .. } | Self::Cancelled { on, .. } | Self::Expired { on, .. } => Some(on),
            _ => None,
        }
    }

    /// Its name in the store. Grace is never stored: it follows from the schedule and the day.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingPayment { .. } => "PENDING_PAYMENT",
            Self::Active { .. } | Self::InGrace { .. } => "ACTIVE",
            Self::Lapsed { .. } => "LAPSED",
            Self::Cancelled { .. } => "CANCELLED",
            Self::Expired { .. } => "EXPIRED",
            Self::ExpiredQuote => "EXPIRED_QUOTE",
        }
    }
}

/// The policy was not paid before its quote expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quote expired before the payment")]
pub struct NeverPaid;
