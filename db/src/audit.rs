//! The audit trail on disk: who touched whose record, when, for what, with what outcome. Identifiers only, never contents.
//! Must not know which methods are audited; the mesh's audit layer decides that from the contract.
//!
//! A write commits its records in its own transaction ([`crate::Db::write`] does it). A read hands them to the
//! [`Recorder`], which commits many at once before the answers go out. The [`Sealer`] chains them afterwards, because a
//! chain inside each transaction would make every writer wait for the one before.

mod chain;
mod checkpoint;
mod recorder;
mod sealer;
mod trail;
mod verify;

use caremesh_kernel::{AuditEventId, EpisodeId, IdSource, PersonId, Timestamp};
use caremesh_mesh::audit::Outcome;
use caremesh_mesh::{CallContext, Touched};
use sea_orm::QueryResult;
use serde_json::{Value as Json, json};

use crate::sql::{self, Column};
use crate::{Batch, Error, Expect, Kind};

pub use checkpoint::{Checkpoint, CheckpointLog, Publisher, Signer, Verifier};
pub use recorder::Recorder;
pub use sealer::Sealer;
pub use trail::{Access, AccessCursor};
pub use verify::{AuditReport, Broken, Defect};

/// One line of the trail: one record touched, or one refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Id of the line.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// The call, as logs name it.
    pub call_id: String,
    /// Owner of the intent: `person:…`, `organisation:…` or `service:…`.
    pub caller: String,
    /// The calling person's record, if the caller is a person who has one.
    pub caller_person: Option<PersonId>,
    /// The organisation of a caller who is staff or a partner.
    pub organisation: Option<String>,
    /// The calling service, empty when a person called without one in between.
    pub service: String,
    /// Path of the method, `/package.Service/Method`.
    pub method: String,
    /// For what the data was used, as the contract names purposes.
    pub purpose: String,
    /// `OK`, or the reason of the refusal.
    pub outcome: String,
    /// The person the record is about.
    pub person: Option<PersonId>,
    /// Id of the record, empty for a refusal that named none.
    pub resource: String,
    /// What was done: `read`, `created`, `changed`, `removed`, or `refused`.
    pub action: String,
    /// The care episode.
    pub episode: Option<EpisodeId>,
    /// Trace id (32 hexadecimal digits) when the call was traced.
    pub trace_id: Option<String>,
}

impl AuditRecord {
    /// The lines of a call that ended so: one per record touched, or a single one for a call that touched none.
    #[must_use]
    pub fn of(
        context: &CallContext,
        touched: &[Touched],
        outcome: &Outcome,
        at: Timestamp,
        ids: &dyn IdSource,
    ) -> Vec<Self> {
        if touched.is_empty() {
            return vec![Self::line(context, None, outcome, at, ids)];
        }
        touched.iter().map(|fact| Self::line(context, Some(fact), outcome, at, ids)).collect()
    }

    fn line(
        context: &CallContext,
        fact: Option<&Touched>,
        outcome: &Outcome,
        at: Timestamp,
        ids: &dyn IdSource,
    ) -> Self {
        let untouched = if *outcome == Outcome::Ok { "called" } else { "refused" };
        let principal = context.principal();
        Self {
            id: AuditEventId::from_uuid(ids.uuid()),
            at,
            call_id: context.call_id().to_owned(),
            caller: principal.caller_key(),
            caller_person: principal.person_id(),
            organisation: principal.person().and_then(|person| person.organisation.clone()),
            service: principal.service().to_owned(),
            method: context.method().path.clone(),
            purpose: context.purpose().as_str_name().to_owned(),
            outcome: outcome.as_str().to_owned(),
            person: fact.and_then(|fact| fact.person),
            resource: fact.map(|fact| fact.resource.clone()).unwrap_or_default(),
            action: fact.map_or(untouched, |fact| fact.action.as_str()).to_owned(),
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
            "caller_person": self.caller_person,
            "organisation": self.organisation,
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

/// The lines of a write that will be answered.
pub(crate) fn of_write(
    context: &CallContext,
    at: Timestamp,
    ids: &dyn IdSource,
    facts: &[Touched],
) -> Vec<AuditRecord> {
    if facts.is_empty() {
        return Vec::new();
    }
    AuditRecord::of(context, facts, &Outcome::Ok, at, ids)
}

const COLUMNS: [Column; 15] = [
    Column::Text("id"),
    Column::Number("at"),
    Column::Text("call_id"),
    Column::Text("caller"),
    Column::Text("caller_person"),
    Column::Text("organisation"),
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

/// Adds the insert of `records` to a batch; nothing when there are none.
pub(crate) fn insert(kind: Kind, records: &[AuditRecord], batch: &mut Batch) {
    if records.is_empty() {
        return;
    }
    let rows = Json::Array(records.iter().map(AuditRecord::to_json).collect()).to_string();
    let sql = sql::insert(kind, "audit_event", &COLUMNS);
    batch.push("audit_event", sql, vec![rows.into()], Expect::Rows(records.len() as u64));
}

/// Columns of a stored line, in the order that [`Stored::from_row`] reads and the chain hashes.
const STORED: &str = "id, at, call_id, caller, caller_person, organisation, service, method, purpose, outcome, person, \
     resource, action, episode, trace_id";

/// A line as it is stored, unparsed: a forged one must be read as it is, to be found out.
struct Stored {
    at: i64,
    texts: [Option<String>; 14],
}

impl Stored {
    fn from_row(row: &QueryResult) -> Result<Self, Error> {
        let mut texts: [Option<String>; 14] = Default::default();
        for (place, text) in texts.iter_mut().enumerate() {
            // Column 1 is the instant, the only one that is not text.
            *text = row.try_get_by_index(if place == 0 { 0 } else { place + 1 })?;
        }
        Ok(Self { at: row.try_get_by_index(1)?, texts })
    }

    fn id(&self) -> &str {
        self.texts[0].as_deref().unwrap_or_default()
    }
}
