//! Cover with another insurer, declared with a quote.

use sea_orm_migration::prelude::*;

/// Columns of portability.
pub(super) struct Prior;

impl MigrationName for Prior {
    fn name(&self) -> &'static str {
        "m0011_prior"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Prior {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, "ALTER TABLE quote ADD COLUMN prior TEXT").await
    }
}
