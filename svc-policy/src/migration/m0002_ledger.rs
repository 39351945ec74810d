//! The benefit ledger: balances with the constraint that no layer is overdrawn, the journal that is only ever added to,
//! and the holds.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

/// Tables of the ledger.
pub(super) struct Ledger;

impl MigrationName for Ledger {
    fn name(&self) -> &'static str {
        "m0002_ledger"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Ledger {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await?;
        let backend = manager.get_database_backend();
        if backend == DbBackend::Postgres {
            super::run(manager, REFUSE_FUNCTION).await?;
        }
        super::run(manager, &append_only(backend, &JOURNAL)).await
    }
}

const TABLES: &str = r"
CREATE TABLE account (
    id {id} PRIMARY KEY,
    term_id {id} NOT NULL REFERENCES policy_term (id),
    code {id} NOT NULL,
    measure {id} NOT NULL,
    scope_kind {id} NOT NULL,
    scope_id {id} NOT NULL,
    period {id} NOT NULL,
    currency {id} NOT NULL,
    when_full {id} NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0)
)
--;
CREATE INDEX account_term ON account (term_id, period)
--;
CREATE TABLE layer (
    id {id} PRIMARY KEY,
    account_id {id} NOT NULL REFERENCES account (id),
    kind {id} NOT NULL,
    ordinal BIGINT NOT NULL,
    granted BIGINT NOT NULL CHECK (granted >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    used BIGINT NOT NULL CHECK (used >= 0),
    overdrawn BIGINT NOT NULL CHECK (overdrawn >= 0),
    valid_from {id} NOT NULL,
    valid_until {id} NOT NULL,
    waiting_from {id} NOT NULL,
    draw_order BIGINT NOT NULL,
    UNIQUE (account_id, kind, ordinal),
    CONSTRAINT layer_not_overdrawn CHECK (reserved + used <= granted + overdrawn)
)
--;
CREATE TABLE posting (
    id {id} PRIMARY KEY,
    term_id {id} NOT NULL,
    service {id} NOT NULL,
    source {id} NOT NULL,
    revision BIGINT NOT NULL,
    event_id {id} NOT NULL,
    event_date {id} NOT NULL,
    member_id {id} NOT NULL,
    cause_id {id},
    episode_id {id},
    posted_at {instant} NOT NULL
)
--;
CREATE INDEX posting_term ON posting (term_id, posted_at, id)
--;
CREATE TABLE posting_line (
    service {id} NOT NULL,
    source {id} NOT NULL,
    line BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    kind {id} NOT NULL,
    part BIGINT NOT NULL,
    posting_id {id} NOT NULL REFERENCES posting (id),
    movement BIGINT NOT NULL,
    CONSTRAINT posting_line_once PRIMARY KEY (service, source, line, revision, kind, part)
)
--;
CREATE INDEX posting_line_posting ON posting_line (posting_id)
--;
CREATE TABLE posting_leg (
    posting_id {id} NOT NULL REFERENCES posting (id),
    number BIGINT NOT NULL,
    kind {id} NOT NULL,
    movement BIGINT,
    account_id {id} NOT NULL,
    layer_id {id} NOT NULL,
    line BIGINT NOT NULL,
    hold_id {id},
    reverses {id},
    event_id {id} NOT NULL,
    event_date {id} NOT NULL,
    member_id {id} NOT NULL,
    cause_id {id},
    posted_at {instant} NOT NULL,
    granted BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    used BIGINT NOT NULL,
    overdrawn BIGINT NOT NULL,
    recovery {id},
    PRIMARY KEY (posting_id, number),
    CONSTRAINT posting_leg_recovery CHECK (overdrawn <= 0 OR recovery IS NOT NULL)
)
--;
CREATE INDEX posting_leg_account ON posting_leg (account_id, posted_at)
--;
CREATE INDEX posting_leg_reverses ON posting_leg (reverses) WHERE reverses IS NOT NULL
--;
CREATE TABLE hold (
    id {id} PRIMARY KEY,
    term_id {id} NOT NULL,
    posting_id {id} NOT NULL REFERENCES posting (id),
    service {id} NOT NULL,
    source {id} NOT NULL,
    event_id {id} NOT NULL,
    event_date {id} NOT NULL,
    member_id {id} NOT NULL,
    cause_id {id},
    posted_at {instant} NOT NULL,
    expires_at {instant} NOT NULL,
    state {id} NOT NULL CHECK (state IN ('OPEN', 'CLOSED', 'EXPIRED'))
)
--;
CREATE INDEX hold_expiry ON hold (expires_at) WHERE state = 'OPEN'
--;
CREATE TABLE hold_leg (
    hold_id {id} NOT NULL REFERENCES hold (id),
    account_id {id} NOT NULL,
    layer_id {id} NOT NULL,
    line BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    captured BIGINT NOT NULL CHECK (captured >= 0 AND captured <= amount),
    released BIGINT NOT NULL CHECK (released >= 0 AND released <= amount),
    PRIMARY KEY (hold_id, account_id, layer_id, line)
)
--;
CREATE INDEX hold_leg_kept ON hold_leg (account_id) WHERE captured + released < amount
--;
CREATE TABLE posting_queue (
    term_id {id} NOT NULL,
    service {id} NOT NULL,
    source {id} NOT NULL,
    conflicts BIGINT NOT NULL,
    since {instant} NOT NULL,
    until {instant} NOT NULL,
    PRIMARY KEY (term_id, service, source)
)
";

const JOURNAL: [&str; 3] = ["posting", "posting_line", "posting_leg"];

/// Triggers that refuse to change or remove a row of these tables, whoever asks.
pub(super) fn append_only(backend: DbBackend, tables: &[&str]) -> String {
    let triggers = tables.iter().map(|table| match backend {
        DbBackend::Postgres => postgres_trigger(table),
        _ => format!("{}\n--;\n{}", sqlite_trigger(table, "UPDATE"), sqlite_trigger(table, "DELETE")),
    });
    triggers.collect::<Vec<_>>().join("\n--;\n")
}

const REFUSE_FUNCTION: &str = r"
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'journal_is_append_only' USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_is_append_only';
END
$$";

fn postgres_trigger(table: &str) -> String {
    format!(
        "CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} \
         FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()"
    )
}

fn sqlite_trigger(table: &str, verb: &str) -> String {
    let name = verb.to_lowercase();
    format!(
        "CREATE TRIGGER {table}_no_{name} BEFORE {verb} ON {table} \
         BEGIN SELECT RAISE(ABORT, 'journal_is_append_only'); END"
    )
}
