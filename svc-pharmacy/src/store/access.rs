//! The audit trail of one person, for that person and for auditors: who touched which record, newest first.

use caremesh_kernel::PersonId;
use sea_orm::{ConnectionTrait, QueryResult};

use super::Error;
use super::sql::statement;

/// A line of the trail.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) caller: String,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) purpose: String,
    pub(crate) outcome: String,
    pub(crate) call_id: String,
}

const LIST: &str = "SELECT id, at, caller, service, method, action, resource, purpose, outcome, call_id FROM audit_event \
     WHERE person = $1 AND (at < $2 OR (at = $2 AND id < $3)) ORDER BY at DESC, id DESC LIMIT $4";

/// Lines about a person after a cursor.
pub(crate) async fn list<C: ConnectionTrait>(
    c: &C,
    person: PersonId,
    after: Option<(i64, String)>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let (at, id) = after.unwrap_or((i64::MAX, String::new()));
    let values = vec![person.to_string().into(), at.into(), id.into(), i64::from(limit).into()];
    c.query_all_raw(statement(c, LIST, values)).await?.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Row, Error> {
    Ok(Row {
        id: row.try_get_by_index(0)?,
        at: row.try_get_by_index(1)?,
        caller: row.try_get_by_index(2)?,
        service: row.try_get_by_index(3)?,
        method: row.try_get_by_index(4)?,
        action: row.try_get_by_index(5)?,
        resource: row.try_get_by_index(6)?,
        purpose: row.try_get_by_index(7)?,
        outcome: row.try_get_by_index(8)?,
        call_id: row.try_get_by_index(9)?,
    })
}
