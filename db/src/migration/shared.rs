//! The shared tables as they were at first. Forward only: a change is a new migration, never an edit here.
//! Must not know a service's own tables.

use sea_orm_migration::prelude::*;

use super::Dialect;

/// Idempotency, outbox and feed, processes, audit.
pub(super) struct SharedTables;

impl MigrationName for SharedTables {
    fn name(&self) -> &str {
        "m20261121_000001_shared_tables"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SharedTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let triggers = match backend {
            sea_orm::DbBackend::Postgres => APPEND_ONLY_POSTGRES,
            _ => APPEND_ONLY_SQLITE,
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(&Dialect::of(backend).render(TABLES)).await?;
        connection.execute_unprepared(triggers).await?;
        Ok(())
    }
}

/// Wrapped data keys and the list of erased persons, in a store of their own.
pub(super) struct KeyTables;

impl MigrationName for KeyTables {
    fn name(&self) -> &str {
        "m20261121_000001_key_tables"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for KeyTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager.get_database_backend());
        manager.get_connection().execute_unprepared(&dialect.render(KEYS)).await?;
        Ok(())
    }
}

/// `caller` is a keyed hash: an issuer's subject may be a name. `answer` is encrypted. Rows go after 30 days.
/// `outbox.position` is empty until the relay has placed the row in the feed.
const TABLES: &str = r"
CREATE TABLE idempotency (
    caller {id} NOT NULL,
    method {id} NOT NULL,
    request_id {id} NOT NULL,
    body_hmac {bytes} NOT NULL,
    resource_id {id} NOT NULL,
    resource_version BIGINT NOT NULL,
    answer {bytes} NOT NULL,
    created_at {instant} NOT NULL,
    CONSTRAINT idempotency_key PRIMARY KEY (caller, method, request_id)
);
CREATE INDEX idempotency_created_at ON idempotency (created_at);

CREATE TABLE outbox (
    seq {counter},
    id {id} NOT NULL UNIQUE,
    event_type {id} NOT NULL,
    ordering_key {id} NOT NULL,
    revision BIGINT NOT NULL,
    payload {bytes} NOT NULL,
    trace_parent {id},
    episode {id},
    created_at {instant} NOT NULL,
    position BIGINT
);
CREATE UNIQUE INDEX outbox_position ON outbox (position) WHERE position IS NOT NULL;
CREATE INDEX outbox_unplaced ON outbox (seq) WHERE position IS NULL;

CREATE TABLE feed_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL
);
INSERT INTO feed_head (id, position) VALUES (1, 0);

CREATE TABLE feed_cursor (
    consumer {id} NOT NULL,
    source {id} NOT NULL,
    position BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    updated_at {instant} NOT NULL,
    PRIMARY KEY (consumer, source)
);

CREATE TABLE dead_letter (
    consumer {id} NOT NULL,
    source {id} NOT NULL,
    position BIGINT NOT NULL,
    event_id {id} NOT NULL,
    event_type {id} NOT NULL,
    ordering_key {id} NOT NULL,
    revision BIGINT NOT NULL,
    payload {bytes} NOT NULL,
    trace_parent {id},
    episode {id},
    event_at {instant} NOT NULL,
    reason {id} NOT NULL,
    created_at {instant} NOT NULL,
    PRIMARY KEY (consumer, source, position)
);
CREATE INDEX dead_letter_key ON dead_letter (consumer, source, ordering_key);

CREATE TABLE process (
    id {id} NOT NULL PRIMARY KEY,
    kind {id} NOT NULL,
    state {id} NOT NULL CHECK (state IN ('RUNNING', 'COMPENSATING', 'DONE', 'UNDONE', 'STUCK')),
    step BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_time {instant} NOT NULL,
    lease_owner {id},
    lease_until {instant} NOT NULL,
    data {bytes} NOT NULL,
    reason {id},
    trace_parent {id},
    episode {id},
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL
);
CREATE INDEX process_due ON process (next_time) WHERE state IN ('RUNNING', 'COMPENSATING');

CREATE TABLE audit_event (
    id {id} NOT NULL PRIMARY KEY,
    at {instant} NOT NULL,
    call_id {id} NOT NULL,
    caller {id} NOT NULL,
    caller_person {id},
    organisation {id},
    service {id} NOT NULL,
    method {id} NOT NULL,
    purpose {id} NOT NULL,
    outcome {id} NOT NULL,
    person {id},
    resource {id} NOT NULL,
    action {id} NOT NULL,
    episode {id},
    trace_id {id},
    position BIGINT,
    hash {bytes}
);
CREATE UNIQUE INDEX audit_event_position ON audit_event (position) WHERE position IS NOT NULL;
CREATE INDEX audit_event_unsealed ON audit_event (id) WHERE position IS NULL;
CREATE INDEX audit_event_person ON audit_event (person, at);

CREATE TABLE audit_checkpoint (
    position BIGINT NOT NULL PRIMARY KEY,
    hash {bytes} NOT NULL,
    at {instant} NOT NULL,
    key_id {id} NOT NULL,
    signature {bytes} NOT NULL
);
";

/// An event may be changed once, by the sealer, and only in the two columns of its seal.
const APPEND_ONLY_POSTGRES: &str = r"
CREATE FUNCTION caremesh_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE FUNCTION caremesh_seal_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.position IS NULL AND OLD.hash IS NULL AND NEW.position IS NOT NULL AND NEW.hash IS NOT NULL
       AND (NEW.id, NEW.at, NEW.call_id, NEW.caller, NEW.caller_person, NEW.organisation, NEW.service, NEW.method, NEW.purpose, NEW.outcome, NEW.person,
            NEW.resource, NEW.action, NEW.episode, NEW.trace_id)
       IS NOT DISTINCT FROM
           (OLD.id, OLD.at, OLD.call_id, OLD.caller, OLD.caller_person, OLD.organisation, OLD.service, OLD.method, OLD.purpose, OLD.outcome, OLD.person,
            OLD.resource, OLD.action, OLD.episode, OLD.trace_id)
    THEN RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER audit_event_update BEFORE UPDATE ON audit_event FOR EACH ROW EXECUTE FUNCTION caremesh_seal_only();
CREATE TRIGGER audit_event_delete BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION caremesh_append_only();
CREATE TRIGGER audit_event_truncate BEFORE TRUNCATE ON audit_event EXECUTE FUNCTION caremesh_append_only();
CREATE TRIGGER audit_checkpoint_change BEFORE UPDATE OR DELETE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION caremesh_append_only();
CREATE TRIGGER audit_checkpoint_truncate BEFORE TRUNCATE ON audit_checkpoint EXECUTE FUNCTION caremesh_append_only();
";

const APPEND_ONLY_SQLITE: &str = r"
CREATE TRIGGER audit_event_update BEFORE UPDATE ON audit_event
WHEN OLD.position IS NOT NULL OR OLD.hash IS NOT NULL OR NEW.position IS NULL OR NEW.hash IS NULL
    OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.call_id IS NOT OLD.call_id
    OR NEW.caller IS NOT OLD.caller OR NEW.caller_person IS NOT OLD.caller_person
    OR NEW.organisation IS NOT OLD.organisation OR NEW.service IS NOT OLD.service OR NEW.method IS NOT OLD.method
    OR NEW.purpose IS NOT OLD.purpose OR NEW.outcome IS NOT OLD.outcome OR NEW.person IS NOT OLD.person
    OR NEW.resource IS NOT OLD.resource OR NEW.action IS NOT OLD.action OR NEW.episode IS NOT OLD.episode
    OR NEW.trace_id IS NOT OLD.trace_id
BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE TRIGGER audit_event_delete BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE TRIGGER audit_checkpoint_update BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
CREATE TRIGGER audit_checkpoint_delete BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
";

/// `erasure` survives a restore of older key backups by being replayed over them.
const KEYS: &str = r"
CREATE TABLE data_key (
    person {id} NOT NULL,
    service {id} NOT NULL,
    version BIGINT NOT NULL,
    kek {id} NOT NULL,
    wrapped {bytes} NOT NULL,
    created_at {instant} NOT NULL,
    PRIMARY KEY (person, service, version)
);
CREATE INDEX data_key_kek ON data_key (kek);

CREATE TABLE erasure (
    person {id} NOT NULL PRIMARY KEY,
    erased_at {instant} NOT NULL
);
";
