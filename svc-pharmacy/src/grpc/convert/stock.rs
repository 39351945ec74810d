//! Lots and reservations.

use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::pharmacy::v1 as wire;

use crate::app::stock::{ShownLot, ShownReservation};
use crate::domain::stock::{LotState, ReservationState};

/// A lot as it stands on the day it is shown.
pub(in crate::grpc) fn lot(shown: &ShownLot) -> wire::StockLot {
    let (row, lot) = (&shown.row, &shown.row.lot);
    let state = match lot.state(shown.today) {
        LotState::Good => wire::StockLotState::Good,
        LotState::Expired => wire::StockLotState::Expired,
        LotState::Recalled => wire::StockLotState::Recalled,
    };
    wire::StockLot {
        lot_id: lot.id.to_string(),
        branch_id: row.at.branch.to_string(),
        product_id: row.at.product.to_string(),
        lot_number: lot.number.clone(),
        expiry_date: Some(lot.expiry.to_wire()),
        unit_code: row.unit.clone(),
        on_hand: lot.on_hand,
        reserved: lot.reserved,
        state: state.into(),
        etag: lot.version.to_string(),
    }
}

/// A reservation.
pub(in crate::grpc) fn reservation(shown: &ShownReservation) -> wire::StockReservation {
    let held = &shown.reservation;
    let state = match held.state {
        ReservationState::Held => wire::ReservationState::Held,
        ReservationState::Consumed => wire::ReservationState::Consumed,
        ReservationState::Released => wire::ReservationState::Released,
        ReservationState::Expired => wire::ReservationState::Expired,
        ReservationState::Broken => wire::ReservationState::Broken,
    };
    let lots = held.parts.iter().zip(&shown.expiries).map(|(part, expiry)| wire::ReservedLot {
        lot_id: part.lot.to_string(),
        quantity: part.quantity,
        expiry_date: Some(expiry.to_wire()),
    });
    wire::StockReservation {
        reservation_id: held.id.to_string(),
        branch_id: shown.at.branch.to_string(),
        product_id: shown.at.product.to_string(),
        unit_code: shown.unit.clone(),
        quantity: held.quantity(),
        lots: lots.collect(),
        state: state.into(),
        expire_time: Some(held.expires.to_wire()),
    }
}

/// A version out of an etag. One that was never given out is that of no version: stale.
pub(in crate::grpc) fn version_of(etag: &str) -> i64 {
    etag.parse().unwrap_or(-1)
}
