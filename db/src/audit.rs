//! Audit events: who touched whose record, when, for what, with what outcome. Identifiers only, never contents.
//! Must not know which methods are audited; the mesh's audit layer decides that from the contract.
//!
//! A write commits its events in its own transaction ([`crate::Db::write`] does it). A read hands them to the
//! [`Recorder`], which commits many at once before the answers go out. The sealer chains them afterwards.

use caremesh_kernel::{AuditEventId, EpisodeId, IdSource, PersonId, Timestamp};
use caremesh_mesh::{CallContext, Touched};
use serde_json::{Value as Json, json};

use crate::rows::{self, Column};
use crate::{Batch, Expect, Kind};

/// Outcome of an event whose call was answered.
pub(crate) const OUTCOME_OK: &str = "OK";

/// One audited event: one record touched, or one refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Id of the event.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// The call, as logs name it.
    pub call_id: String,
    /// Owner of the intent: `person:…`, `organisation:…` or `service:…`.
    pub caller: String,
    /// The calling service, empty when a person called without one in between.
    pub service: String,
    /// Path of the method, `/package.Service/Method`.
    pub method: String,
    /// For what the data was used, as the contract names purposes.
    pub purpose: String,
    /// [`OUTCOME_OK`], or the reason of the refusal.
    pub outcome: String,
    /// The person the record is about.
    pub person: Option<PersonId>,
    /// Id of the record, empty for a refusal that named none.
    pub resource: String,
    /// What was done: `read`, `created`, `changed`, `removed` or `refused`.
    pub action: String,
    /// The care episode.
    pub episode: Option<EpisodeId>,
    /// Trace id (32 hexadecimal digits) when the call was traced.
    pub trace_id: Option<String>,
}

impl AuditEvent {
    /// The event of a call that touched a record and was answered with `outcome`.
    #[must_use]
    pub fn of(
        context: &CallContext,
        at: Timestamp,
        ids: &dyn IdSource,
        outcome: &str,
        fact: &Touched,
    ) -> Self {
        Self {
            id: AuditEventId::from_uuid(ids.uuid()),
            at,
            call_id: context.call_id().to_owned(),
            caller: context.principal().caller_key(),
            service: context.principal().service().to_owned(),
            method: context.method().path.clone(),
            purpose: context.purpose().as_str_name().to_owned(),
            outcome: outcome.to_owned(),
            person: fact.person,
            resource: fact.resource.clone(),
            action: fact.action.as_str().to_owned(),
            episode: context.episode_id(),
            trace_id: context.trace_parent().as_deref().and_then(trace_id),
        }
    }

    fn to_json(&self) -> Json {
        json!({
            "id": self.id,
            "at": self.at,
            "call_id": self.call_id,
            "caller": self.caller,
            "service": self.service,
            "method": self.method,
            "purpose": self.purpose,
            "outcome": self.outcome,
            "person": self.person,
            "resource": self.resource,
            "action": self.action,
            "episode": self.episode,
            "trace_id": self.trace_id,
        })
    }
}

/// The second field of a W3C `traceparent`.
fn trace_id(trace_parent: &str) -> Option<String> {
    trace_parent.split('-').nth(1).map(str::to_owned)
}

pub(crate) fn events_of(
    context: &CallContext,
    at: Timestamp,
    ids: &dyn IdSource,
    facts: &[Touched],
) -> Vec<AuditEvent> {
    facts.iter().map(|fact| AuditEvent::of(context, at, ids, OUTCOME_OK, fact)).collect()
}

const COLUMNS: [Column; 13] = [
    Column::Text("id"),
    Column::Integer("at"),
    Column::Text("call_id"),
    Column::Text("caller"),
    Column::Text("service"),
    Column::Text("method"),
    Column::Text("purpose"),
    Column::Text("outcome"),
    Column::Text("person"),
    Column::Text("resource"),
    Column::Text("action"),
    Column::Text("episode"),
    Column::Text("trace_id"),
];

/// Adds the insert of `events` to a batch; nothing when there are none.
pub(crate) fn insert(kind: Kind, events: &[AuditEvent], batch: &mut Batch) {
    if events.is_empty() {
        return;
    }
    let records = Json::Array(events.iter().map(AuditEvent::to_json).collect()).to_string();
    let sql = rows::insert(kind, "audit_event", &COLUMNS);
    batch.push("audit_event", sql, vec![records.into()], Expect::Rows(events.len() as u64));
}
