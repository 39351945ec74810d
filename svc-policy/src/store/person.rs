//! Persons: the profile is sealed, so nothing here can read it; look-ups go by id, by who manages whom, and by a keyed
//! hash of the issuer's name for the person.

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{PersonId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};

use super::scope::{self, Scope};
use super::{Error, parse_id};
use caremesh_db::sql::statement;

/// A row of `person`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: PersonId,
    /// Keyed hash of the issuer's name for the person.
    pub(crate) subject: Option<String>,
    pub(crate) managed_by: Option<PersonId>,
    pub(crate) profile_sealed: Vec<u8>,
    pub(crate) version: i64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

const COLUMNS: &str =
    "r.id, r.subject, r.managed_by, r.profile_sealed, r.version, r.created_at, r.updated_at";

/// The person, when the scope holds it.
pub(crate) async fn find<C: ConnectionTrait>(
    c: &C,
    scope: &Scope,
    id: PersonId,
) -> Result<Option<Row>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM person r WHERE r.id = $1 AND {}", scope::person(2));
    let values = [[id.to_string().into()].as_slice(), &scope.values()].concat();
    c.query_one_raw(statement(c, &sql, values)).await?.map(|row| read(&row)).transpose()
}

/// The record of the person whom the issuer calls so.
pub(crate) async fn find_by_subject<C: ConnectionTrait>(
    c: &C,
    subject: &str,
) -> Result<Option<PersonId>, Error> {
    let sql = "SELECT r.id FROM person r WHERE r.subject = $1";
    let row = c.query_one_raw(statement(c, sql, vec![subject.into()])).await?;
    row.map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).transpose()
}

/// Whether the person is or was covered by a policy.
pub(crate) async fn is_insured<C: ConnectionTrait>(c: &C, id: PersonId) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM member m WHERE m.person_id = $1 LIMIT 1";
    Ok(c.query_one_raw(statement(c, sql, vec![id.to_string().into()])).await?.is_some())
}

/// A new person.
pub(crate) fn insert(row: &Row) -> Batch {
    let mut batch = Batch::new();
    let sql = "INSERT INTO person (id, subject, managed_by, profile_sealed, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        row.id.to_string().into(),
        row.subject.clone().into(),
        row.managed_by.map(|id| id.to_string()).into(),
        row.profile_sealed.clone().into(),
        row.version.into(),
        row.created.as_micros().into(),
        row.updated.as_micros().into(),
    ];
    batch.push("person", sql, values, Expect::Rows(1));
    batch
}

/// A changed profile, when the person is still at the version before.
pub(crate) fn update(row: &Row) -> Batch {
    let mut batch = Batch::new();
    let sql = "UPDATE person SET profile_sealed = $3, version = $2, updated_at = $4 WHERE id = $1 AND version = $2 - 1";
    let values = vec![
        row.id.to_string().into(),
        row.version.into(),
        row.profile_sealed.clone().into(),
        row.updated.as_micros().into(),
    ];
    batch.push("person", sql, values, Expect::Rows(1));
    batch
}

fn read(row: &QueryResult) -> Result<Row, Error> {
    let managed_by: Option<String> = row.try_get_by_index(2)?;
    Ok(Row {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        subject: row.try_get_by_index(1)?,
        managed_by: managed_by.as_deref().map(parse_id).transpose()?,
        profile_sealed: row.try_get_by_index(3)?,
        version: row.try_get_by_index(4)?,
        created: Timestamp::from_micros(row.try_get_by_index(5)?),
        updated: Timestamp::from_micros(row.try_get_by_index(6)?),
    })
}
