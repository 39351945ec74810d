//! Stock as people work with it: deliveries, counts, transfers, recalls, and stock put aside at the counter. Orders put
//! stock aside themselves, in their own transactions, through the store.

mod count;
mod find;
mod list_lots;
mod recall;
mod receive;
mod release;
mod reserve;
mod sweep;
mod transfer;

use caremesh_kernel::{Date, LotId};

pub use count::{Input as Count, Outcome as Counted, run as count};
pub(crate) use find::able as find_able;
pub use find::{Input as Find, run as find};
pub use list_lots::{Cursor, run as list_lots};
pub use recall::{Input as Recall, Outcome as Recalled, run as recall};
pub use receive::{Input as Receive, run as receive};
pub use release::run as release;
pub use reserve::{Input as Reserve, run as reserve};
pub use sweep::run as sweep;
pub use transfer::{Input as Transfer, run as transfer};

use super::Error;
use crate::domain::stock::{Refusal, Reservation, Shelf};
use crate::store::stock::{LotRow, Place, StockError};

/// A lot as it is shown: where, in which unit, and the day that it is there.
#[derive(Clone, Debug)]
pub struct ShownLot {
    /// The lot on its shelf.
    pub row: LotRow,
    /// The day at its branch.
    pub today: Date,
}

/// A reservation as it is shown.
#[derive(Clone, Debug)]
pub struct ShownReservation {
    /// On which shelf.
    pub at: Place,
    /// The unit in which the product is counted there.
    pub unit: String,
    /// The reservation.
    pub reservation: Reservation,
    /// The lots of its parts, by their expiry.
    pub expiries: Vec<Date>,
}

impl From<StockError> for Error {
    fn from(error: StockError) -> Self {
        match error {
            StockError::Refused(refusal) => Self::Stock(refusal),
            StockError::Store(error) => Self::Store(error),
        }
    }
}

/// A lot that is about to be written, at the version it will have.
fn shown_lot(shelf: &Shelf, at: Place, id: LotId, today: Date) -> Result<ShownLot, Error> {
    let mut lot = shelf.lot(id).ok_or(Error::Stock(Refusal::Unknown))?.clone();
    lot.version += 1;
    Ok(ShownLot { row: LotRow { at, unit: shelf.unit().to_owned(), lot }, today })
}

fn shown_reservation(shelf: &Shelf, at: Place, reservation: Reservation) -> ShownReservation {
    let expiry = |part: &crate::domain::stock::Part| shelf.lot(part.lot).map(|lot| lot.expiry);
    let expiries = reservation.parts.iter().filter_map(expiry).collect();
    ShownReservation { at, unit: shelf.unit().to_owned(), reservation, expiries }
}
