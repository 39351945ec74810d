//! Stock put aside for somebody until an instant, and the states it can be in. Knows no order: whose it is, is a text.

use caremesh_kernel::{LotId, ReservationId, Timestamp};

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReservationState {
    /// The stock is put aside.
    Held,
    /// All of it was handed out.
    Consumed,
    /// Given back, or what was left of it after a part was handed out.
    Released,
    /// Its time ended.
    Expired,
    /// Recalled or not found at a stock-take: plan anew.
    Broken,
}

impl ReservationState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Held, Self::Consumed, Self::Released, Self::Expired, Self::Broken];

    /// The state after `next`, or a refusal: only what is held moves, and where it ended it stays.
    ///
    /// # Errors
    /// [`Closed`] with the state that it has.
    pub fn to(self, next: Self) -> Result<Self, Closed> {
        match (self, next) {
            (Self::Held, Self::Consumed | Self::Released | Self::Expired | Self::Broken) => Ok(next),
            _ => Err(Closed { state: self }),
        }
    }

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Consumed => "CONSUMED",
            Self::Released => "RELEASED",
            Self::Expired => "EXPIRED",
            Self::Broken => "BROKEN",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The reservation is no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reservation is no longer held")]
pub struct Closed {
    /// Where it stands.
    pub state: ReservationState,
}

/// What is put aside of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The lot.
    pub lot: LotId,
    /// Units put aside in the beginning.
    pub quantity: i64,
    /// Units of those that were handed out.
    pub consumed: i64,
}

impl Part {
    /// Units that are still put aside while the reservation is held.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.quantity - self.consumed
    }
}

/// Stock put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is: `ord_…` of an order, `counter` for a customer at the counter.
    pub holder: String,
    /// From which lots, first to expire first.
    pub parts: Vec<Part>,
    /// Where it stands.
    pub state: ReservationState,
    /// The first instant at which it is over.
    pub expires: Timestamp,
    /// When it was made: the newest are broken first.
    pub created: Timestamp,
}

impl Reservation {
    /// Units in all.
    #[must_use]
    pub fn quantity(&self) -> i64 {
        self.parts.iter().map(|part| part.quantity).sum()
    }

    /// Units still put aside; none when it is no longer held.
    #[must_use]
    pub fn left(&self) -> i64 {
        if self.state == ReservationState::Held { self.parts.iter().map(Part::left).sum() } else { 0 }
    }

    /// Whether its time is over at an instant. The instant of expiry is already too late.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == ReservationState::Held && now >= self.expires
    }

    /// Whether any of the lot is still put aside.
    #[must_use]
    pub fn holds(&self, lot: LotId) -> bool {
        self.state == ReservationState::Held
            && self.parts.iter().any(|part| part.lot == lot && part.left() > 0)
    }
}
