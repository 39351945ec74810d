//! The audit trail of one person, for that person and for auditors: who touched which record, newest first.
//! Must not know who may ask.

use caremesh_kernel::{PersonId, Timestamp};
use caremesh_mesh::CallContext;
use caremesh_mesh::page::Page;
use sea_orm::{ConnectionTrait as _, QueryResult};
use serde::{Deserialize, Serialize};

use crate::sql::statement;
use crate::{Db, Error};

/// One access. Identifiers only.
#[derive(Clone, Debug)]
pub struct Access {
    /// Id of the event.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// For whom a workload acted; empty for itself.
    pub on_behalf_of: String,
    /// What was called.
    pub method: String,
    /// `created`, `read`, `changed`, `removed`, `refused`.
    pub action: String,
    /// The record.
    pub resource: String,
    /// For what, as the contract names purposes.
    pub purpose: String,
    /// `OK`, or the reason of the refusal.
    pub outcome: String,
    /// The call, as in the logs.
    pub call_id: String,
}

/// Where a page of accesses ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessCursor {
    at: i64,
    id: String,
}

const LIST: &str = "SELECT id, at, caller, service, method, action, resource, purpose, outcome, call_id FROM audit_event \
     WHERE person = $1 AND (at < $2 OR (at = $2 AND id < $3)) ORDER BY at DESC, id DESC LIMIT $4";

impl Db {
    /// One page of the accesses to what this service holds of a person, and where the next begins.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_access(
        &self,
        context: &CallContext,
        person: PersonId,
        page: &Page<AccessCursor>,
    ) -> Result<(Vec<Access>, Option<AccessCursor>), Error> {
        let (at, id) = page.after.clone().map_or((i64::MAX, String::new()), |after| (after.at, after.id));
        let one_more = i64::from(page.size) + 1;
        let values = vec![person.to_string().into(), at.into(), id.into(), one_more.into()];
        let reader = self.read(context);
        let rows = reader.query_all_raw(statement(&reader, LIST, values)).await?;
        let more = rows.len() > page.size as usize;
        let shown: Vec<Access> =
            rows.iter().take(page.size as usize).map(access).collect::<Result<_, Error>>()?;
        let last = shown.last().filter(|_| more);
        let next = last.map(|last| AccessCursor { at: last.at.as_micros(), id: last.id.clone() });
        Ok((shown, next))
    }
}

/// A call that came through a service names the service as actor, and whose intent it was.
fn access(row: &QueryResult) -> Result<Access, Error> {
    let (caller, service): (String, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
    let through = !service.is_empty() && caller != format!("service:{service}");
    let (actor, on_behalf_of) =
        if through { (format!("service:{service}"), caller) } else { (caller, String::new()) };
    Ok(Access {
        id: row.try_get_by_index(0)?,
        at: Timestamp::from_micros(row.try_get_by_index(1)?),
        actor,
        on_behalf_of,
        method: row.try_get_by_index(4)?,
        action: row.try_get_by_index(5)?,
        resource: row.try_get_by_index(6)?,
        purpose: row.try_get_by_index(7)?,
        outcome: row.try_get_by_index(8)?,
        call_id: row.try_get_by_index(9)?,
    })
}
