//! What the catalogue tells: that products were written, and under which batch. Nothing of the products themselves.

use caremesh_db::NewEvent;
use caremesh_kernel::{ProductBatchId, Timestamp};
use caremesh_proto::pharmacy::v1::{Event, EventType};

/// Name of the event.
pub(crate) const PRODUCTS_CHANGED: &str = "PRODUCTS_CHANGED";
/// All changes of the catalogue are told in their order.
const KEY: &str = "catalogue";

/// Products were entered or changed.
pub(crate) fn products_changed(batch: ProductBatchId, now: Timestamp) -> NewEvent {
    let payload = Event {
        r#type: EventType::ProductsChanged.into(),
        key: KEY.to_owned(),
        resource_id: batch.to_string(),
        ..Event::default()
    };
    NewEvent::of(PRODUCTS_CHANGED, KEY, now.as_micros(), &payload)
}
