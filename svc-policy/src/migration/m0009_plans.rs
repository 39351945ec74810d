//! More than one plan version in a term, and the term for whose quiet a bonus was given.

use sea_orm_migration::prelude::*;

/// Columns of a change of plan and of the bonus.
pub(super) struct Plans;

impl MigrationName for Plans {
    fn name(&self) -> &'static str {
        "m0009_plans"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Plans {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

/// `plans`: the segments of a term that has several plan versions, so that a posting opens accounts as all of them say.
const TABLES: &str = r"
ALTER TABLE policy_term ADD COLUMN plans TEXT
--;
ALTER TABLE policy_term ADD COLUMN bonus_for {id}
--;
CREATE INDEX policy_term_bonus ON policy_term (bonus_for) WHERE bonus_for IS NOT NULL
";
