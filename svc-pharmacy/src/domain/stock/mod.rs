//! Stock of one product at one branch: its lots, what of them is put aside, and every way in which either changes.
//! Knows neither orders nor prescriptions, nor how a shelf is kept.

mod change;
mod lot;
mod reservation;
mod shelf;
#[cfg(test)]
mod tests;

pub use change::{Ask, Change, Counted, Movement, MovementKind, Refusal};
pub use lot::{Lot, LotState};
pub use reservation::{Closed, Part, Reservation, ReservationState};
pub use shelf::Shelf;
