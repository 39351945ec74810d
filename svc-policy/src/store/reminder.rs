//! Reminders that were sent, each once. It knows neither when one is due nor who reads it.

use std::collections::HashSet;

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{Date, PolicyId, Timestamp};
use sea_orm::ConnectionTrait;

use super::Error;
use super::policy::Row;
use caremesh_db::sql::statement;

/// What was sent of a policy: kind and day.
pub(crate) async fn sent<C: ConnectionTrait>(
    c: &C,
    policy: PolicyId,
) -> Result<HashSet<(String, String)>, Error> {
    let sql = "SELECT kind, due_on FROM reminder WHERE policy_id = $1";
    let rows = c.query_all_raw(statement(c, sql, vec![policy.to_string().into()])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Remembers that reminders were sent, and when the worker looks at the policy next.
pub(crate) fn remember(row: &Row, reminders: &[(&'static str, Date)], now: Timestamp) -> Batch {
    let mut batch = Batch::new();
    for (kind, on) in reminders {
        let sql = "INSERT INTO reminder (policy_id, kind, due_on, sent_at) VALUES ($1, $2, $3, $4)";
        let values =
            vec![row.id.to_string().into(), (*kind).into(), on.to_string().into(), now.as_micros().into()];
        batch.push("reminder", sql, values, Expect::Rows(1));
    }
    let sql = "UPDATE policy SET acts_on = $3, due_on = $4 WHERE id = $1 AND version = $2";
    let day = |day: Option<Date>| day.map(|day| day.to_string());
    let values =
        vec![row.id.to_string().into(), row.version.into(), day(row.acts_on).into(), day(row.due_on).into()];
    batch.push("policy", sql, values, Expect::Rows(1));
    batch
}
