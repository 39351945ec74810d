//! Branches, licences, pharmacists; lots, reservations and the journal of stock. Nothing here tells of a patient: whose a
//! reservation is, is an order's id. A CHECK per lot has the last word: nothing is put aside that is not there.

use sea_orm_migration::prelude::*;

/// Tables of branches and their stock.
pub(super) struct BranchStock;

impl MigrationName for BranchStock {
    fn name(&self) -> &'static str {
        "m0002_branch_stock"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for BranchStock {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

const TABLES: &str = r"
CREATE TABLE branch (
    id {id} PRIMARY KEY,
    organisation_id {id} NOT NULL,
    name {id} NOT NULL,
    jurisdiction {id} NOT NULL,
    zone {id} NOT NULL,
    latitude_e6 BIGINT NOT NULL,
    longitude_e6 BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL
)
--;
CREATE INDEX branch_jurisdiction ON branch (jurisdiction, id)
--;
CREATE TABLE branch_licence (
    branch_id {id} NOT NULL REFERENCES branch (id),
    kind {id} NOT NULL CHECK (kind IN ('PREMISES', 'SUPERINTENDENT')),
    number TEXT NOT NULL,
    starts_on {id} NOT NULL,
    ends_on {id} NOT NULL,
    recorded_at {instant} NOT NULL,
    PRIMARY KEY (branch_id, kind, starts_on)
)
--;
CREATE TABLE pharmacist (
    id {id} PRIMARY KEY,
    subject {id} NOT NULL UNIQUE,
    branch_id {id} NOT NULL REFERENCES branch (id),
    registration_number TEXT NOT NULL,
    starts_on {id} NOT NULL,
    ends_on {id} NOT NULL,
    version BIGINT NOT NULL
)
--;
CREATE TABLE stock_item (
    branch_id {id} NOT NULL REFERENCES branch (id),
    product_id {id} NOT NULL,
    unit_code {id} NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (branch_id, product_id)
)
--;
CREATE TABLE stock_lot (
    id {id} PRIMARY KEY,
    branch_id {id} NOT NULL,
    product_id {id} NOT NULL,
    number {id} NOT NULL,
    expires_on {id} NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    recalled BIGINT NOT NULL,
    version BIGINT NOT NULL,
    UNIQUE (product_id, branch_id, number),
    FOREIGN KEY (branch_id, product_id) REFERENCES stock_item (branch_id, product_id),
    CONSTRAINT stock_lot_room CHECK (reserved >= 0 AND reserved <= on_hand),
    CONSTRAINT stock_lot_recalled CHECK (recalled = 0 OR reserved = 0)
)
--;
CREATE INDEX stock_lot_shelf ON stock_lot (branch_id, product_id)
--;
CREATE TABLE stock_reservation (
    id {id} PRIMARY KEY,
    branch_id {id} NOT NULL,
    product_id {id} NOT NULL,
    holder {id} NOT NULL,
    state {id} NOT NULL CHECK (state IN ('HELD', 'CONSUMED', 'RELEASED', 'EXPIRED', 'BROKEN')),
    expires_at {instant} NOT NULL,
    created_at {instant} NOT NULL,
    FOREIGN KEY (branch_id, product_id) REFERENCES stock_item (branch_id, product_id)
)
--;
CREATE INDEX stock_reservation_held ON stock_reservation (branch_id, product_id, expires_at) WHERE state = 'HELD'
--;
CREATE INDEX stock_reservation_due ON stock_reservation (expires_at) WHERE state = 'HELD'
--;
CREATE TABLE stock_reservation_part (
    reservation_id {id} NOT NULL REFERENCES stock_reservation (id),
    lot_id {id} NOT NULL REFERENCES stock_lot (id),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    consumed BIGINT NOT NULL CHECK (consumed >= 0 AND consumed <= quantity),
    PRIMARY KEY (reservation_id, lot_id)
)
--;
CREATE TABLE stock_movement (
    number {counter},
    lot_id {id} NOT NULL REFERENCES stock_lot (id),
    kind {id} NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    reservation_id {id},
    reason TEXT NOT NULL,
    call_id {id} NOT NULL,
    moved_at {instant} NOT NULL
)
--;
CREATE INDEX stock_movement_lot ON stock_movement (lot_id, number)
";
