//! What a person may ask for and what time asks of a policy: versions of a profile, tombstones of erased persons, nominees and
//! bank accounts, reminders, and the day of the first unpaid premium.

use sea_orm_migration::prelude::*;

/// Tables of rights, parties and reminders.
pub(super) struct Rights;

impl MigrationName for Rights {
    fn name(&self) -> &'static str {
        "m0006_rights"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Rights {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await?;
        let journal = ["person_version", "policy_party", "reminder"];
        super::run(manager, &super::m0002_ledger::append_only(manager.get_database_backend(), &journal)).await
    }
}

/// A profile and a party stay sealed in every version, so that an erased person is erased from all of them.
const TABLES: &str = r"
ALTER TABLE policy ADD COLUMN due_on {id}
--;
ALTER TABLE person ADD COLUMN erased_at {instant}
--;
CREATE TABLE person_version (
    person_id {id} NOT NULL REFERENCES person (id),
    version BIGINT NOT NULL,
    known_from {instant} NOT NULL,
    profile_sealed {bytes} NOT NULL,
    PRIMARY KEY (person_id, version)
)
--;
CREATE TABLE policy_party (
    policy_id {id} NOT NULL REFERENCES policy (id),
    kind {id} NOT NULL CHECK (kind IN ('NOMINEES', 'BANK')),
    number BIGINT NOT NULL,
    effective_on {id} NOT NULL,
    mark {id},
    detail_sealed {bytes} NOT NULL,
    known_from {instant} NOT NULL,
    PRIMARY KEY (policy_id, kind, number)
)
--;
CREATE INDEX policy_party_mark ON policy_party (mark) WHERE mark IS NOT NULL
--;
CREATE TABLE reminder (
    policy_id {id} NOT NULL REFERENCES policy (id),
    kind {id} NOT NULL,
    due_on {id} NOT NULL,
    sent_at {instant} NOT NULL,
    PRIMARY KEY (policy_id, kind, due_on)
)
";
