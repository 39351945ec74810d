//! Renewal: an offer for the next term of a policy, and which term it became.

use sea_orm_migration::prelude::*;

/// Columns of renewal.
pub(super) struct Renewal;

impl MigrationName for Renewal {
    fn name(&self) -> &'static str {
        "m0005_renewal"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Renewal {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

const TABLES: &str = r"
ALTER TABLE quote ADD COLUMN renews_policy_id {id}
--;
ALTER TABLE quote ADD COLUMN renewed_term_id {id}
--;
CREATE INDEX quote_renews ON quote (renews_policy_id) WHERE renews_policy_id IS NOT NULL
--;
ALTER TABLE policy_term ADD COLUMN quote_id {id}
--;
ALTER TABLE refund ADD COLUMN term_id {id}
";
