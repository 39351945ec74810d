//! Orders and their settlement journal. An order is one document with the columns that it is found by; where it is brought
//! and from which card it is paid is sealed with the patient's data key (`*_sealed`). The journal is never changed.

use sea_orm_migration::prelude::*;

/// Tables of orders.
pub(super) struct Order;

impl MigrationName for Order {
    fn name(&self) -> &'static str {
        "m0004_order"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Order {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, TABLES).await
    }
}

const TABLES: &str = r"
CREATE TABLE medication_order (
    id {id} PRIMARY KEY,
    patient {id} NOT NULL,
    placed_by {id},
    branch_id {id} NOT NULL,
    state {id} NOT NULL,
    reserved_until {instant} NOT NULL,
    body TEXT NOT NULL,
    address_sealed {bytes},
    source_sealed {bytes},
    version BIGINT NOT NULL,
    created_at {instant} NOT NULL,
    updated_at {instant} NOT NULL
)
--;
CREATE INDEX medication_order_patient ON medication_order (patient, created_at)
--;
CREATE INDEX medication_order_placed_by ON medication_order (placed_by, created_at)
--;
CREATE INDEX medication_order_branch ON medication_order (branch_id, created_at)
--;
CREATE INDEX medication_order_due ON medication_order (reserved_until) WHERE state IN
    ('RESERVING', 'AWAITING_PAYMENT', 'AWAITING_VERIFICATION', 'CONFIRMED', 'PACKING')
--;
CREATE TABLE order_journal (
    order_id {id} NOT NULL REFERENCES medication_order (id),
    entry {id} NOT NULL,
    party {id} NOT NULL CHECK (party IN ('MEMBER', 'CARRIER', 'BRANCH', 'PAYMENT_PROVIDER')),
    amount BIGINT NOT NULL CHECK (amount <> 0),
    created_at {instant} NOT NULL,
    PRIMARY KEY (order_id, entry, party)
)
";
