//! The queue of papers that wait for a pharmacist: claimed by lease, in one statement, the same on both databases.

use caremesh_kernel::{PrescriptionId, Timestamp};
use sea_orm::ConnectionTrait;

use super::{Error, parse_id};
use crate::domain::prescription::Lease;
use caremesh_db::sql::statement;

const WAITS: &str =
    "((p.state = 'UPLOADED' AND p.expires_at > $3) OR (p.state = 'IN_VERIFICATION' AND p.lease_until <= $3))";

/// Gives the oldest paper that waits, or whose lease is over, to a pharmacist: one statement that claims and reads. None
/// when nothing waits, or when somebody else was faster; then ask [`waiting`] and try again.
pub(crate) async fn claim<C: ConnectionTrait>(
    c: &C,
    jurisdiction: &str,
    lease: Lease,
    now: Timestamp,
) -> Result<Option<PrescriptionId>, Error> {
    let sql = format!(
        "UPDATE prescription AS p SET state = 'IN_VERIFICATION', lease_by = $1, lease_until = $2, version = p.version + 1 \
         WHERE p.id = (SELECT q.id FROM prescription q WHERE q.jurisdiction = $4 AND {} ORDER BY q.created_at, q.id \
         LIMIT 1) AND {WAITS} RETURNING id",
        WAITS.replace("p.", "q.")
    );
    let values = vec![
        lease.pharmacist.to_string().into(),
        lease.until.as_micros().into(),
        now.as_micros().into(),
        jurisdiction.into(),
    ];
    let row = c.query_one_raw(statement(c, &sql, values)).await?;
    row.map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).transpose()
}

/// How many papers wait, counted up to 1,000.
pub(crate) async fn waiting<C: ConnectionTrait>(
    c: &C,
    jurisdiction: &str,
    now: Timestamp,
) -> Result<i64, Error> {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM prescription p WHERE p.jurisdiction = $1 AND {} LIMIT 1000) AS found",
        WAITS.replace("$3", "$2")
    );
    let values = vec![jurisdiction.into(), now.as_micros().into()];
    let row = c.query_one_raw(statement(c, &sql, values)).await?.ok_or(Error::Corrupt("a count"))?;
    Ok(row.try_get_by_index(0)?)
}

/// The first other prescription with the same document that came in, in one of these states; empty: any that has come in.
pub(crate) async fn same_document<C: ConnectionTrait>(
    c: &C,
    id: PrescriptionId,
    sha256: &str,
    only_verified: bool,
) -> Result<Option<PrescriptionId>, Error> {
    let states = if only_verified {
        "('VERIFIED')"
    } else {
        "('UPLOADED', 'IN_VERIFICATION', 'VERIFIED', 'REJECTED')"
    };
    let sql = format!(
        "SELECT id FROM prescription WHERE document_sha256 = $1 AND id <> $2 AND state IN {states} \
         ORDER BY created_at, id LIMIT 1"
    );
    let row = c.query_one_raw(statement(c, &sql, vec![sha256.into(), id.to_string().into()])).await?;
    row.map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).transpose()
}
