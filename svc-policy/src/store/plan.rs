//! Plan versions as they were first loaded: published once, never changed (INV-P4).

use caremesh_db::{Batch, Expect, Tx};
use sea_orm::ConnectionTrait as _;

use super::Error;
use crate::domain::plan::PlanVersion;
use caremesh_db::sql::{Column, insert, json, statement};

/// A plan version whose content is not the one that was published under its code and label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "plan {code} {label} was published with other content (digest {published}, now {found}): give it a new label"
)]
pub struct ChangedPlan {
    /// The plan's code.
    pub code: String,
    /// The version's label.
    pub label: String,
    /// Digest that was published.
    pub published: String,
    /// Digest of the file.
    pub found: String,
}

#[derive(serde::Serialize)]
struct Row {
    id: String,
    plan_id: String,
    code: String,
    label: String,
    digest: String,
    content: String,
    loaded_at: i64,
}

const COLUMNS: &[Column] = &[
    Column::Text("id"),
    Column::Text("plan_id"),
    Column::Text("code"),
    Column::Text("label"),
    Column::Text("digest"),
    Column::Text("content"),
    Column::Number("loaded_at"),
];

/// Digests of every published version, by id.
pub(crate) async fn digests(tx: &Tx) -> Result<std::collections::BTreeMap<String, String>, Error> {
    let rows = tx.query_all_raw(statement(tx, "SELECT id, digest FROM plan_version", vec![])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Publishes versions for good.
pub(crate) fn publish(tx: &Tx, versions: &[&PlanVersion]) -> Result<Batch, Error> {
    let rows: Vec<Row> = versions.iter().map(|version| row(tx, version)).collect::<Result<_, _>>()?;
    let mut batch = Batch::new();
    if !rows.is_empty() {
        let sql = insert(tx.kind(), "plan_version", COLUMNS);
        batch.push("plan_version", sql, vec![json(&rows)], Expect::Rows(rows.len() as u64));
    }
    Ok(batch)
}

fn row(tx: &Tx, version: &PlanVersion) -> Result<Row, Error> {
    Ok(Row {
        id: version.id().to_string(),
        plan_id: version.plan_id().to_string(),
        code: version.code.clone(),
        label: version.label.clone(),
        digest: version.content_digest(),
        content: serde_json::to_string(version).map_err(|_| Error::Corrupt("plan_version.content"))?,
        loaded_at: tx.now().as_micros(),
    })
}
