//! ListAccess: who has looked at or changed what this service holds of a person. Reading it is audited too.

use caremesh_kernel::{PersonId, Timestamp};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::store::access;

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

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    at: i64,
    id: String,
}

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a person whom the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    id: PersonId,
    page: &Page<Cursor>,
) -> Result<(Vec<Access>, Option<Cursor>), Error> {
    app.must_see_person(context, id).await?;
    let reader = app.db.read(context);
    context.touched(Touched::read(id, id));
    let after = page.after.clone().map(|cursor| (cursor.at, cursor.id));
    let mut rows = access::list(&reader, id, after, page.size + 1).await?;
    let more = rows.len() > page.size as usize;
    rows.truncate(page.size as usize);
    let next = rows.last().filter(|_| more).map(|row| Cursor { at: row.at, id: row.id.clone() });
    Ok((rows.into_iter().map(shown).collect(), next))
}

/// A call that came through a service names the service as actor, and whose intent it was.
fn shown(row: access::Row) -> Access {
    let through = !row.service.is_empty() && row.caller != format!("service:{}", row.service);
    let (actor, on_behalf_of) =
        if through { (format!("service:{}", row.service), row.caller) } else { (row.caller, String::new()) };
    Access {
        id: row.id,
        at: Timestamp::from_micros(row.at),
        actor,
        on_behalf_of,
        method: row.method,
        action: row.action,
        resource: row.resource,
        purpose: row.purpose,
        outcome: row.outcome,
        call_id: row.call_id,
    }
}
