//! What is asked of a shelf, why it is refused, and what a change leaves to be written. Knows no shelf.

use caremesh_kernel::{LotId, ReservationId, Timestamp};

use super::{Closed, Lot, Reservation};

/// Why a change of stock is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Less is free than asked.
    #[error("less is free than asked")]
    Shortage {
        /// Units that are free.
        free: i64,
    },
    /// The unit is not the one in which the product is counted here.
    #[error("the product is counted in another unit")]
    Unit,
    /// The lot's expiry date has come.
    #[error("the lot has expired")]
    Expired,
    /// The lot was recalled.
    #[error("the lot was recalled")]
    Recalled,
    /// The lot number is known with another expiry date.
    #[error("the lot is known with another expiry date")]
    OtherExpiry,
    /// The reservation is no longer held.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// There is no such lot or reservation on this shelf.
    #[error("it is not on this shelf")]
    Unknown,
}

/// What a movement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MovementKind {
    /// A delivery came in.
    Received,
    /// Put aside.
    Reserved,
    /// Given back, by whoever held it, by time, or because the lot is not good any more.
    Freed,
    /// Handed out.
    Consumed,
    /// A stock-take found another number.
    Counted,
    /// Left for another branch.
    SentAway,
    /// Came from another branch.
    Arrived,
    /// Recalled.
    Recalled,
}

impl MovementKind {
    /// Its name in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Reserved => "RESERVED",
            Self::Freed => "FREED",
            Self::Consumed => "CONSUMED",
            Self::Counted => "COUNTED",
            Self::SentAway => "SENT_AWAY",
            Self::Arrived => "ARRIVED",
            Self::Recalled => "RECALLED",
        }
    }
}

/// One line of the journal: by how much a lot changed, and for which reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The lot.
    pub lot: LotId,
    /// What happened.
    pub kind: MovementKind,
    /// Change of what is there.
    pub on_hand: i64,
    /// Change of what is put aside.
    pub reserved: i64,
    /// The reservation, if one is concerned.
    pub reservation: Option<ReservationId>,
}

/// What is asked to be put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Id of the new reservation.
    pub id: ReservationId,
    /// Whose it will be.
    pub holder: String,
    /// Units, at least 1.
    pub quantity: i64,
    /// Unit of the quantity.
    pub unit: String,
    /// The first instant at which it is over.
    pub expires: Timestamp,
}

/// What a stock-take or a recall broke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Reservations that are broken now.
    pub broken: Vec<ReservationId>,
}

/// Everything a change did, for the store to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Lots that are new.
    pub new_lots: Vec<Lot>,
    /// Lots that changed, with the version they had.
    pub lots: Vec<Lot>,
    /// Reservations that are new.
    pub new_reservations: Vec<Reservation>,
    /// Reservations that changed.
    pub reservations: Vec<Reservation>,
    /// The journal.
    pub movements: Vec<Movement>,
}
