//! Prescriptions, their items and fills, what is known of patients, overrides, and reference tables. What tells of a
//! patient's health is sealed with the patient's data key (`*_sealed`); counters are plain, because the database refuses with
//! them what no prescription allows, and say nothing without the medicine.

use sea_orm_migration::prelude::*;

/// Tables of prescriptions and safety.
pub(super) struct Prescription;

impl MigrationName for Prescription {
    fn name(&self) -> &'static str {
        "m0003_prescription"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Prescription {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, PRESCRIPTIONS).await?;
        super::run(manager, REFERENCE).await
    }
}

const PRESCRIPTIONS: &str = r"
CREATE TABLE prescription (
    id {id} PRIMARY KEY,
    patient {id} NOT NULL,
    jurisdiction {id} NOT NULL,
    source {id} NOT NULL CHECK (source IN ('CONSULTATION', 'PAPER')),
    source_id {id} UNIQUE,
    state {id} NOT NULL,
    detail_sealed {bytes},
    prescriber {id},
    rejection {id},
    verified_by {id},
    safety_sealed {bytes},
    document_id {id} UNIQUE,
    document_sha256 {id},
    document_type {id},
    document_size BIGINT,
    lease_by {id},
    lease_until {instant},
    episode_id {id},
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    expires_at {instant}
)
--;
CREATE INDEX prescription_patient ON prescription (patient, id)
--;
CREATE INDEX prescription_queue ON prescription (created_at) WHERE state IN ('UPLOADED', 'IN_VERIFICATION')
--;
CREATE INDEX prescription_document ON prescription (document_sha256) WHERE document_sha256 IS NOT NULL
--;
CREATE TABLE prescription_item (
    id {id} PRIMARY KEY,
    prescription_id {id} NOT NULL REFERENCES prescription (id),
    position BIGINT NOT NULL,
    state {id} NOT NULL,
    content_sealed {bytes} NOT NULL,
    quantity BIGINT NOT NULL,
    fills_allowed BIGINT NOT NULL,
    fills BIGINT NOT NULL,
    in_fill BIGINT NOT NULL,
    total BIGINT NOT NULL,
    supply_as_of {id},
    supply_left BIGINT,
    supply_fill BIGINT,
    begun_on {id},
    amended BIGINT NOT NULL,
    version BIGINT NOT NULL,
    UNIQUE (prescription_id, position),
    CONSTRAINT prescription_item_fills CHECK (fills <= fills_allowed AND in_fill <= quantity),
    CONSTRAINT prescription_item_total CHECK (total <= quantity * fills_allowed)
)
--;
CREATE TABLE paper_item (
    mark {id} PRIMARY KEY,
    prescription_id {id} NOT NULL REFERENCES prescription (id)
)
--;
CREATE TABLE prescription_fill (
    id {id} PRIMARY KEY,
    item_id {id} NOT NULL REFERENCES prescription_item (id),
    number BIGINT NOT NULL,
    branch_id {id} NOT NULL,
    product_sealed {bytes} NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit_code {id} NOT NULL,
    substitution {id},
    early {id},
    pharmacist_id {id} NOT NULL,
    holder {id} NOT NULL,
    filled_at {instant} NOT NULL
)
--;
CREATE INDEX prescription_fill_item ON prescription_fill (item_id, filled_at)
--;
CREATE TABLE prescription_fill_lot (
    fill_id {id} NOT NULL REFERENCES prescription_fill (id),
    lot_id {id} NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (fill_id, lot_id)
)
--;
CREATE INDEX prescription_fill_lot_lot ON prescription_fill_lot (lot_id)
--;
CREATE TABLE medication_profile (
    patient {id} PRIMARY KEY,
    profile_sealed {bytes} NOT NULL,
    version BIGINT NOT NULL,
    updated_at {instant} NOT NULL
)
--;
CREATE TABLE safety_override (
    patient {id} NOT NULL,
    issue {id} NOT NULL,
    pharmacist_id {id} NOT NULL,
    reason_sealed {bytes} NOT NULL,
    created_at {instant} NOT NULL,
    expires_at {instant} NOT NULL,
    PRIMARY KEY (patient, issue, created_at)
)
";

const REFERENCE: &str = r"
CREATE TABLE reference_name (
    name {id} PRIMARY KEY,
    canonical {id} NOT NULL
)
--;
CREATE INDEX reference_name_canonical ON reference_name (canonical)
--;
CREATE TABLE reference_class (
    substance {id} NOT NULL,
    class {id} NOT NULL,
    PRIMARY KEY (substance, class)
)
--;
CREATE TABLE reference_atc (
    substance {id} NOT NULL,
    atc {id} NOT NULL,
    PRIMARY KEY (substance, atc)
)
--;
CREATE TABLE reference_interaction (
    a {id} NOT NULL,
    b {id} NOT NULL,
    source {id} NOT NULL,
    severity {id} NOT NULL,
    effect TEXT NOT NULL,
    management TEXT NOT NULL,
    PRIMARY KEY (a, b, source)
)
--;
CREATE INDEX reference_interaction_b ON reference_interaction (b)
--;
CREATE TABLE reference_allergen (
    name {id} PRIMARY KEY,
    terms TEXT NOT NULL,
    atc TEXT NOT NULL,
    cross_atc TEXT NOT NULL,
    cross_severity {id} NOT NULL
)
--;
CREATE TABLE reference_age (
    atc {id} NOT NULL,
    least_years BIGINT NOT NULL,
    below_years BIGINT,
    severity {id} NOT NULL,
    effect TEXT NOT NULL,
    source {id} NOT NULL,
    PRIMARY KEY (atc, least_years)
)
";
