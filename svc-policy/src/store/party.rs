//! Who is paid for a policy: versions of its nominees and of its bank account, sealed with the policyholder's key. Nothing is
//! changed or removed, so that what was decided can be explained with what held then.

use caremesh_db::sql::{bytes_of, hex_of, statement};
use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{Date, PolicyId, Timestamp};
use sea_orm::ConnectionTrait;

use super::Error;

/// A row of `policy_party`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) policy_id: PolicyId,
    /// `NOMINEES` or `BANK`.
    pub(crate) kind: String,
    /// The version of the policy that brought it.
    pub(crate) number: i64,
    pub(crate) effective_on: Date,
    /// Keyed hash of a bank account, by which the same one is found on other policies.
    pub(crate) mark: Option<String>,
    /// Hexadecimal text.
    pub(crate) detail_sealed: String,
    pub(crate) known_from: i64,
}

/// A new version.
pub(crate) fn insert(kind: Kind, row: &Row) -> Batch {
    let mut batch = Batch::new();
    let sql = format!(
        "INSERT INTO policy_party (policy_id, kind, number, effective_on, mark, detail_sealed, known_from) \
         VALUES ($1, $2, $3, $4, $5, {}, $7)",
        bytes_of(kind, "$6")
    );
    let values = vec![
        row.policy_id.to_string().into(),
        row.kind.clone().into(),
        row.number.into(),
        row.effective_on.to_string().into(),
        row.mark.clone().into(),
        row.detail_sealed.clone().into(),
        row.known_from.into(),
    ];
    batch.push("policy_party", sql, values, Expect::Rows(1));
    batch
}

/// The version of a kind that was known at an instant.
pub(crate) async fn known<C: ConnectionTrait>(
    c: &C,
    database: Kind,
    (policy, kind): (PolicyId, &str),
    instant: Timestamp,
) -> Result<Option<Row>, Error> {
    let sql = format!(
        "SELECT number, effective_on, {}, known_from FROM policy_party WHERE policy_id = $1 AND kind = $2 \
         AND known_from <= $3 ORDER BY number DESC LIMIT 1",
        hex_of(database, "detail_sealed")
    );
    let values = vec![policy.to_string().into(), kind.into(), instant.as_micros().into()];
    let Some(row) = c.query_one_raw(statement(c, &sql, values)).await? else { return Ok(None) };
    let day: String = row.try_get_by_index(1)?;
    Ok(Some(Row {
        policy_id: policy,
        kind: kind.to_owned(),
        number: row.try_get_by_index(0)?,
        effective_on: day.parse().map_err(|_| Error::Corrupt("policy_party.effective_on"))?,
        mark: None,
        detail_sealed: row.try_get_by_index(2)?,
        known_from: row.try_get_by_index(3)?,
    }))
}
