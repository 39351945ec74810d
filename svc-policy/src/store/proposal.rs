//! Proposals before an underwriter. What was asked, answered and decided is sealed with the policyholder's key.

use caremesh_db::sql::{bytes_of, hex_of, object, parse, statement, tagged};
use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{PersonId, ProposalId, QuoteId};
use sea_orm::{ConnectionTrait, Value};
use serde::Deserialize;

use super::{Error, Scope, parse_id};

/// A row of `proposal`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: ProposalId,
    pub(crate) quote_id: QuoteId,
    pub(crate) policyholder: PersonId,
    pub(crate) state: String,
    /// Keyed hash of who has claimed it.
    pub(crate) underwriter: Option<String>,
    /// Hexadecimal text.
    pub(crate) detail_sealed: String,
    pub(crate) version: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

fn row_object(kind: Kind) -> String {
    let sealed = hex_of(kind, "r.detail_sealed");
    let columns = [
        ("id", "r.id"),
        ("quote_id", "r.quote_id"),
        ("policyholder", "r.policyholder"),
        ("state", "r.state"),
        ("underwriter", "r.underwriter"),
        ("detail_sealed", sealed.as_str()),
        ("version", "r.version"),
        ("created_at", "r.created_at"),
        ("updated_at", "r.updated_at"),
    ];
    object(kind, &columns)
}

/// The proposal when the scope holds it.
pub(crate) async fn find<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    id: ProposalId,
) -> Result<Option<Row>, Error> {
    one(c, kind, scope, ("r.id", id.to_string())).await
}

/// The proposal of a quote, when the scope holds it.
pub(crate) async fn of_quote<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    quote: QuoteId,
) -> Result<Option<Row>, Error> {
    one(c, kind, scope, ("r.quote_id", quote.to_string())).await
}

async fn one<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    (column, value): (&str, String),
) -> Result<Option<Row>, Error> {
    let sql = format!(
        "SELECT 'proposal' AS tag, {} AS body FROM proposal r WHERE {column} = $1 AND ($2 = 1 OR r.policyholder = $3)",
        row_object(kind)
    );
    let own = scope.own.map(|own| own.to_string()).unwrap_or_default();
    let values: Vec<Value> = vec![value.into(), i64::from(scope.any).into(), own.into()];
    let rows = tagged(c, &sql, values).await?;
    rows.first().map(|(_, body)| parse(body)).transpose()
}

/// Ids of the proposals in a state after a cursor, those that wait the longest first.
pub(crate) async fn queue<C: ConnectionTrait>(
    c: &C,
    state: &str,
    after: Option<(i64, ProposalId)>,
    limit: u32,
) -> Result<Vec<(i64, ProposalId)>, Error> {
    let sql = "SELECT created_at, id FROM proposal WHERE state = $1 AND (created_at > $2 OR (created_at = $2 AND id > $3)) \
         ORDER BY created_at, id LIMIT $4";
    let (at, id) = after.map_or((i64::MIN, String::new()), |(at, id)| (at, id.to_string()));
    let values = vec![state.into(), at.into(), id.into(), i64::from(limit).into()];
    let rows = c.query_all_raw(statement(c, sql, values)).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, parse_id(&row.try_get_by_index::<String>(1)?)?)))
        .collect()
}

/// A new proposal.
pub(crate) fn insert(kind: Kind, row: &Row) -> Batch {
    let mut batch = Batch::new();
    let sql = format!(
        "INSERT INTO proposal (id, quote_id, policyholder, state, underwriter, detail_sealed, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, {}, $7, $8, $9)",
        bytes_of(kind, "$6")
    );
    batch.push("proposal", sql, values(row), Expect::Rows(1));
    batch
}

/// The proposal as it is now, when it is still at the version before.
pub(crate) fn update(kind: Kind, row: &Row) -> Batch {
    let mut batch = Batch::new();
    let sql = format!(
        "UPDATE proposal SET quote_id = $2, policyholder = $3, state = $4, underwriter = $5, detail_sealed = {}, version = $7, \
         created_at = $8, updated_at = $9 WHERE id = $1 AND version = $7 - 1",
        bytes_of(kind, "$6")
    );
    batch.push("proposal", sql, values(row), Expect::Rows(1));
    batch
}

fn values(row: &Row) -> Vec<Value> {
    vec![
        row.id.to_string().into(),
        row.quote_id.to_string().into(),
        row.policyholder.to_string().into(),
        row.state.clone().into(),
        row.underwriter.clone().into(),
        row.detail_sealed.clone().into(),
        row.version.into(),
        row.created_at.into(),
        row.updated_at.into(),
    ]
}
