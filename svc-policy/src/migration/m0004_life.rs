//! The life of a policy after its purchase: endorsements, refunds, and every version of a policy as it was known.

use sea_orm_migration::prelude::*;

/// Tables of a policy's life.
pub(super) struct Life;

impl MigrationName for Life {
    fn name(&self) -> &'static str {
        "m0004_life"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Life {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await?;
        let journal = ["endorsement", "refund", "policy_version"];
        super::run(manager, &super::m0002_ledger::append_only(manager.get_database_backend(), &journal)).await
    }
}

const TABLES: &str = r"
ALTER TABLE policy ADD COLUMN ended_on {id}
--;
ALTER TABLE policy ADD COLUMN acts_on {id}
--;
CREATE INDEX policy_acts_on ON policy (acts_on, id) WHERE acts_on IS NOT NULL
--;
ALTER TABLE policy_term ADD COLUMN premium TEXT
--;
ALTER TABLE member ADD COLUMN end_reason {id}
--;
ALTER TABLE member ADD COLUMN waiting_waived BIGINT NOT NULL DEFAULT 0
--;
CREATE TABLE endorsement (
    id {id} PRIMARY KEY,
    policy_id {id} NOT NULL REFERENCES policy (id),
    number BIGINT NOT NULL,
    kind {id} NOT NULL,
    effective_on {id} NOT NULL,
    member_id {id},
    net BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    made_at {instant} NOT NULL,
    UNIQUE (policy_id, number)
)
--;
CREATE TABLE refund (
    id {id} PRIMARY KEY,
    policy_id {id} NOT NULL REFERENCES policy (id),
    endorsement_id {id} NOT NULL REFERENCES endorsement (id),
    net BIGINT NOT NULL CHECK (net >= 0),
    tax BIGINT NOT NULL CHECK (tax >= 0),
    created_at {instant} NOT NULL
)
--;
CREATE INDEX refund_policy ON refund (policy_id)
--;
CREATE TABLE policy_version (
    policy_id {id} NOT NULL REFERENCES policy (id),
    version BIGINT NOT NULL,
    known_from {instant} NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (policy_id, version)
)
";
