//! The events of stock and prescriptions: ids only. Names and message are the contract's register (`EventType`).

use caremesh_db::NewEvent;
use caremesh_kernel::{PrescriptionId, ReservationId, Timestamp};
use caremesh_proto::pharmacy::v1::{Event, EventType};

use crate::domain::stock::Shelf;

/// Reservations that were broken, told to whose they were.
pub(crate) fn broken(shelf: &Shelf, reservations: &[ReservationId], now: Timestamp) -> Vec<NewEvent> {
    let held = reservations.iter().filter_map(|id| shelf.reservation(*id));
    held.map(|held| event(EventType::StockReservationBroken, &held.holder, held.id.to_string(), now))
        .collect()
}

/// Something happened to a prescription.
pub(crate) fn prescription(kind: EventType, id: PrescriptionId, now: Timestamp) -> NewEvent {
    event(kind, &id.to_string(), id.to_string(), now)
}

/// Events of one key are told in the order of their instants.
fn event(kind: EventType, key: &str, resource: String, now: Timestamp) -> NewEvent {
    let payload =
        Event { r#type: kind.into(), key: key.to_owned(), resource_id: resource, ..Event::default() };
    let name = kind.as_str_name().strip_prefix("EVENT_TYPE_").unwrap_or_default();
    NewEvent::of(name, key, now.as_micros(), &payload)
}
