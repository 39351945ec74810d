//! The sum insured of a term, layer by layer, and what recovers benefit that was used beyond a limit lowered later.

use sea_orm_migration::prelude::*;

/// Layers and recoveries.
pub(super) struct Layers;

impl MigrationName for Layers {
    fn name(&self) -> &'static str {
        "m0007_layers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Layers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await?;
        super::run(manager, &super::m0002_ledger::append_only(manager.get_database_backend(), &["recovery"]))
            .await
    }
}

/// A term without layers has one: the sum of its segment, from the policy's first day on.
const TABLES: &str = r"
ALTER TABLE policy_term ADD COLUMN layers TEXT
--;
CREATE TABLE recovery (
    id {id} PRIMARY KEY,
    policy_id {id} NOT NULL REFERENCES policy (id),
    endorsement_id {id} NOT NULL REFERENCES endorsement (id),
    term_id {id} NOT NULL REFERENCES policy_term (id),
    account_id {id} NOT NULL REFERENCES account (id),
    measure {id} NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    created_at {instant} NOT NULL
)
--;
CREATE INDEX recovery_policy ON recovery (policy_id)
";
