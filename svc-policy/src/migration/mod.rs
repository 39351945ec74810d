//! The schema of svc-policy, numbered and forward only: expand first, contract in a later release.
//! It knows tables and nothing of what is decided with them.

mod m0001_cover;
mod m0002_ledger;
mod m0003_openings;
mod m0004_life;
mod m0005_renewal;
mod m0006_rights;
mod m0007_layers;
mod m0009_plans;
mod m0011_prior;
mod m0013_proposal;

use sea_orm_migration::prelude::*;

/// All migrations of this service: the shared tables of every store first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = caremesh_db::migration::shared();
        all.push(Box::new(m0001_cover::Cover));
        all.push(Box::new(m0002_ledger::Ledger));
        all.push(Box::new(m0003_openings::Openings));
        all.push(Box::new(m0004_life::Life));
        all.push(Box::new(m0005_renewal::Renewal));
        all.push(Box::new(m0006_rights::Rights));
        all.push(Box::new(m0007_layers::Layers));
        all.push(Box::new(m0009_plans::Plans));
        all.push(Box::new(m0011_prior::Prior));
        all.push(Box::new(m0013_proposal::Proposal));
        all
    }
}

/// The schema of the store of data keys, which lives apart from the data it opens.
#[derive(Debug)]
pub struct KeyMigrator;

#[async_trait::async_trait]
impl MigratorTrait for KeyMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        caremesh_db::migration::keys()
    }
}

/// Runs a migration's text, statement by statement: separated by a line that holds only `--;`, because trigger bodies
/// hold semicolons of their own.
async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let dialect = caremesh_db::migration::Dialect::of(manager.get_database_backend());
    for statement in dialect.render(sql).split("--;").map(str::trim).filter(|text| !text.is_empty()) {
        connection.execute_unprepared(statement).await?;
    }
    Ok(())
}
