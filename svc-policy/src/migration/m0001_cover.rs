//! Plan versions, persons, quotes, policies, members, receipts. What says something of a person is sealed with that
//! person's data key (`*_sealed`); docs/operations.md lists each column and why.

use sea_orm_migration::prelude::*;

/// Tables of cover.
pub(super) struct Cover;

impl MigrationName for Cover {
    fn name(&self) -> &'static str {
        "m0001_cover"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Cover {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

const TABLES: &str = r"
CREATE TABLE plan_version (
    id {id} PRIMARY KEY,
    plan_id {id} NOT NULL,
    code {id} NOT NULL,
    label {id} NOT NULL,
    digest {id} NOT NULL,
    content TEXT NOT NULL,
    loaded_at {instant} NOT NULL,
    UNIQUE (code, label)
)
--;
CREATE TABLE person (
    id {id} PRIMARY KEY,
    subject {id} UNIQUE,
    managed_by {id},
    profile_sealed {bytes} NOT NULL,
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL
)
--;
CREATE INDEX person_managed_by ON person (managed_by)
--;
CREATE TABLE quote (
    id {id} PRIMARY KEY,
    plan_version_id {id} NOT NULL,
    policyholder {id} NOT NULL,
    currency {id} NOT NULL,
    sum_insured BIGINT NOT NULL,
    starts_on {id} NOT NULL,
    premium TEXT NOT NULL,
    total BIGINT NOT NULL,
    policy_id {id} UNIQUE,
    version BIGINT NOT NULL,
    expires_at {instant} NOT NULL,
    created_at {instant} NOT NULL
)
--;
CREATE TABLE quote_member (
    quote_id {id} NOT NULL REFERENCES quote (id),
    position BIGINT NOT NULL,
    person_id {id} NOT NULL,
    relation {id} NOT NULL,
    declared_sealed {bytes},
    PRIMARY KEY (quote_id, position),
    UNIQUE (quote_id, person_id)
)
--;
CREATE TABLE policy (
    id {id} PRIMARY KEY,
    quote_id {id} NOT NULL UNIQUE REFERENCES quote (id),
    plan_id {id} NOT NULL,
    policyholder {id} NOT NULL,
    state {id} NOT NULL,
    zone {id} NOT NULL,
    currency {id} NOT NULL,
    lead_carrier {id} NOT NULL,
    activated_at {instant},
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL
)
--;
CREATE INDEX policy_holder ON policy (policyholder)
--;
CREATE INDEX policy_carrier ON policy (lead_carrier)
--;
CREATE TABLE policy_term (
    id {id} PRIMARY KEY,
    policy_id {id} NOT NULL REFERENCES policy (id),
    number BIGINT NOT NULL,
    starts_on {id} NOT NULL,
    ends_on {id} NOT NULL CHECK (starts_on < ends_on),
    state {id} NOT NULL,
    UNIQUE (policy_id, number)
)
--;
CREATE TABLE term_segment (
    term_id {id} NOT NULL REFERENCES policy_term (id),
    starts_on {id} NOT NULL,
    ends_on {id} NOT NULL CHECK (starts_on < ends_on),
    plan_version_id {id} NOT NULL REFERENCES plan_version (id),
    sum_insured BIGINT NOT NULL CHECK (sum_insured >= 0),
    PRIMARY KEY (term_id, starts_on)
)
--;
CREATE TABLE member (
    id {id} PRIMARY KEY,
    policy_id {id} NOT NULL REFERENCES policy (id),
    position BIGINT NOT NULL,
    person_id {id} NOT NULL,
    relation {id} NOT NULL,
    starts_on {id} NOT NULL,
    ends_on {id} NOT NULL CHECK (starts_on <= ends_on),
    continuous_from {id} NOT NULL,
    facts_sealed {bytes} NOT NULL,
    UNIQUE (policy_id, person_id)
)
--;
CREATE INDEX member_person ON member (person_id)
--;
CREATE TABLE receipt (
    id {id} PRIMARY KEY,
    quote_id {id} NOT NULL REFERENCES quote (id),
    number BIGINT NOT NULL,
    reference_index {id} NOT NULL UNIQUE,
    reference_sealed {bytes} NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    received_at {instant} NOT NULL,
    created_at {instant} NOT NULL,
    UNIQUE (quote_id, number)
)
";
