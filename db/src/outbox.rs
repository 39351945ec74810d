//! Events for other services, written in the business transaction and told after it. Ids only, never contents.
//! Must not know who reads them; the relay and the feed are in `feed/`.

use caremesh_kernel::OutboxEventId;
use prost::Message;
use serde_json::json;

use crate::sql::{self, Column};
use crate::{Expect, Tx};

/// An event as its service tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Name of the event, out of the register in the contract (`PolicyActivated`).
    pub event_type: &'static str,
    /// Id of the record it is about. Events of one key are told in the order of their revisions.
    pub ordering_key: String,
    /// Version of that record after the change.
    pub revision: i64,
    /// The encoded protobuf message: ids and codes, nothing personal.
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// An event whose payload is a message of the contract.
    #[must_use]
    pub fn of<M: Message>(event_type: &'static str, key: impl ToString, revision: i64, payload: &M) -> Self {
        Self { event_type, ordering_key: key.to_string(), revision, payload: payload.encode_to_vec() }
    }
}

const COLUMNS: [Column; 8] = [
    Column::Text("id"),
    Column::Text("event_type"),
    Column::Text("ordering_key"),
    Column::Number("revision"),
    Column::Bytes("payload"),
    Column::Text("trace_parent"),
    Column::Text("episode"),
    Column::Number("created_at"),
];

impl Tx {
    /// Writes events with this transaction, in the order given: they go with the next [`Tx::apply`].
    pub fn emit(&self, events: impl IntoIterator<Item = NewEvent>) {
        let records: Vec<_> = events.into_iter().map(|event| self.record(&event)).collect();
        if records.is_empty() {
            return;
        }
        let expected = Expect::Rows(records.len() as u64);
        let sql = sql::insert(self.kind(), "outbox", &COLUMNS);
        let mut batch = crate::Batch::new();
        batch.push("outbox", sql, vec![serde_json::Value::Array(records).to_string().into()], expected);
        self.defer(batch);
        self.set_emitted();
    }

    fn record(&self, event: &NewEvent) -> serde_json::Value {
        json!({
            "id": OutboxEventId::from_uuid(self.uuid()),
            "event_type": event.event_type,
            "ordering_key": event.ordering_key,
            "revision": event.revision,
            "payload": hex::encode(&event.payload),
            "trace_parent": self.context().trace_parent(),
            "episode": self.context().episode_id(),
            "created_at": self.now(),
        })
    }
}
