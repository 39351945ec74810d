//! The catalogue of products. The search index is derived from it; nothing here is about a person.

use sea_orm_migration::prelude::*;

/// Tables of the catalogue.
pub(super) struct Catalogue;

impl MigrationName for Catalogue {
    fn name(&self) -> &'static str {
        "m0001_catalogue"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Catalogue {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

// `sort_name` orders lists; `same_as` is alike for products of the same substance, strength and form; `batch_id` is the
// change that last wrote the row: the feed names it, and the index reads the rows behind it.
const TABLES: &str = r"
CREATE TABLE product (
    id {id} PRIMARY KEY,
    code {id} NOT NULL UNIQUE,
    country {id} NOT NULL,
    name TEXT NOT NULL,
    sort_name {id} NOT NULL,
    generic TEXT NOT NULL,
    strength TEXT NOT NULL,
    form TEXT NOT NULL,
    route TEXT NOT NULL,
    pack TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    atc {id} NOT NULL,
    dispensing_class {id} NOT NULL,
    schedule TEXT NOT NULL,
    price BIGINT CHECK (price >= 0),
    currency {id},
    registration TEXT NOT NULL,
    discontinued BIGINT NOT NULL CHECK (discontinued IN (0, 1)),
    same_as {id},
    digest {id} NOT NULL,
    batch_id {id} NOT NULL,
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL,
    CHECK ((price IS NULL) = (currency IS NULL))
)
--;
CREATE INDEX product_by_name ON product (country, sort_name, id)
--;
CREATE INDEX product_same_as ON product (same_as, country)
--;
CREATE INDEX product_batch ON product (batch_id)
";
