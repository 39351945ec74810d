//! What the ledger learned to keep: how many accounts a policy has opened, so that nobody relies in vain on one that has no
//! row; and the plan's rule under which a layer was granted.

use sea_orm_migration::prelude::*;

/// The count of openings, and the rule of a grant.
pub(super) struct Openings;

impl MigrationName for Openings {
    fn name(&self) -> &'static str {
        "m0003_openings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Openings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, COLUMNS).await
    }
}

/// Kept on the first term of a policy, where its lifetime accounts hang too.
const COLUMNS: &str = r"
ALTER TABLE policy_term ADD COLUMN openings BIGINT NOT NULL DEFAULT 0
--;
ALTER TABLE posting_leg ADD COLUMN rule_id {id}
";
