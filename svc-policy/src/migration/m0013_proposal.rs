//! Proposals before an underwriter, and what a quote waits for.

use sea_orm_migration::prelude::*;

/// Tables of underwriting.
pub(super) struct Proposal;

impl MigrationName for Proposal {
    fn name(&self) -> &'static str {
        "m0013_proposal"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Proposal {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

/// `review`: null where nobody need look, `NEEDED` until an underwriter accepts, then `ACCEPTED`.
const TABLES: &str = r"
ALTER TABLE quote ADD COLUMN review {id}
--;
CREATE TABLE proposal (
    id {id} PRIMARY KEY,
    quote_id {id} NOT NULL UNIQUE REFERENCES quote (id),
    policyholder {id} NOT NULL,
    state {id} NOT NULL,
    underwriter {id},
    detail_sealed {bytes} NOT NULL,
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL
)
--;
CREATE INDEX proposal_queue ON proposal (state, created_at, id)
";
