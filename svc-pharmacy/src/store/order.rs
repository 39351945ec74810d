//! Orders and their journal. An order is written whole, at the version that was read; who lost the race reads again.

use caremesh_db::{Batch, Expect, Tx};
use caremesh_kernel::{BranchId, OrderId, PersonId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{Error, parse_id};
use crate::domain::order::{Entry, JournalLine, Order, Party};
use caremesh_db::sql::statement;

/// An order as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    /// The order.
    pub order: Order,
    /// Where a courier brings it, sealed.
    pub address_sealed: Option<Vec<u8>>,
    /// From where the own share is paid, sealed.
    pub source_sealed: Option<Vec<u8>>,
    /// Counts its changes, from 1.
    pub version: i64,
}

const COLUMNS: &str = "body, address_sealed, source_sealed, version";

/// An order, whoever asks: the use case decides who may see it.
pub(crate) async fn find_unscoped<C: ConnectionTrait>(c: &C, id: OrderId) -> Result<Option<Row>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM medication_order WHERE id = $1");
    let row = c.query_one_raw(statement(c, &sql, vec![id.to_string().into()])).await?;
    row.as_ref().map(read).transpose()
}

/// Whose orders a list shows.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    /// Those of a patient.
    Patient(PersonId),
    /// Those of a patient or placed by the same person.
    Own(PersonId),
    /// Those of a branch.
    Branch(BranchId),
}

/// Orders after a place of the list, newest first.
pub(crate) async fn list<C: ConnectionTrait>(
    c: &C,
    listed: &Listed,
    after: Option<(i64, String)>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let (condition, id) = match listed {
        Listed::Patient(person) => ("patient = $1", person.to_string()),
        Listed::Own(person) => ("(patient = $1 OR placed_by = $1)", person.to_string()),
        Listed::Branch(branch) => ("branch_id = $1", branch.to_string()),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM medication_order WHERE {condition} AND (created_at < $2 OR (created_at = $2 AND id < $3)) \
         ORDER BY created_at DESC, id DESC LIMIT $4"
    );
    let (at, last) = after.unwrap_or((i64::MAX, String::new()));
    let values = vec![id.into(), at.into(), last.into(), i64::from(limit).into()];
    c.query_all_raw(statement(c, &sql, values)).await?.iter().map(read).collect()
}

/// Orders whose reservations are over and that nobody has closed: what the sweeper tidies.
pub(crate) async fn due<C: ConnectionTrait>(
    c: &C,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<OrderId>, Error> {
    let sql = "SELECT id FROM medication_order WHERE reserved_until <= $1 AND state IN ('RESERVING', 'AWAITING_PAYMENT', \
         'AWAITING_VERIFICATION', 'CONFIRMED', 'PACKING') ORDER BY reserved_until LIMIT $2";
    let values = vec![now.as_micros().into(), i64::from(limit).into()];
    let rows = c.query_all_raw(statement(c, sql, values)).await?;
    rows.iter().map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).collect()
}

fn read(row: &QueryResult) -> Result<Row, Error> {
    let body: String = row.try_get_by_index(0)?;
    Ok(Row {
        order: serde_json::from_str(&body).map_err(|_| Error::Corrupt("medication_order.body"))?,
        address_sealed: row.try_get_by_index(1)?,
        source_sealed: row.try_get_by_index(2)?,
        version: row.try_get_by_index(3)?,
    })
}

fn body(order: &Order) -> Result<Value, Error> {
    Ok(serde_json::to_string(order).map_err(|_| Error::Corrupt("medication_order.body"))?.into())
}

const INSERT: &str = "INSERT INTO medication_order (id, patient, placed_by, branch_id, state, reserved_until, body, \
     address_sealed, source_sealed, version, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10)";

/// Enters an order with this transaction.
pub(crate) fn insert(tx: &Tx, row: &Row) -> Result<(), Error> {
    let order = &row.order;
    let values = vec![
        order.id.to_string().into(),
        order.patient.to_string().into(),
        order.placed_by.map(|person| person.to_string()).into(),
        order.branch.to_string().into(),
        order.state.name().into(),
        order.reserved_until.as_micros().into(),
        body(order)?,
        row.address_sealed.clone().into(),
        row.source_sealed.clone().into(),
        order.created.as_micros().into(),
    ];
    let mut batch = Batch::new();
    batch.push("medication_order", INSERT, values, Expect::Rows(1));
    tx.defer(batch);
    Ok(())
}

/// Writes an order with this transaction, at the version that was read; with it its journal entries. An entry that is booked
/// already stays as it is.
pub(crate) fn save(tx: &Tx, order: &Order, version: i64, entries: &[Entry]) -> Result<(), Error> {
    let sql = "UPDATE medication_order SET state = $3, reserved_until = $4, body = $5, version = version + 1, updated_at = $6 \
         WHERE id = $1 AND version = $2";
    let values = vec![
        order.id.to_string().into(),
        version.into(),
        order.state.name().into(),
        order.reserved_until.as_micros().into(),
        body(order)?,
        tx.now().as_micros().into(),
    ];
    let mut batch = Batch::new();
    batch.push("medication_order", sql, values, Expect::Rows(1));
    for entry in entries {
        book(&mut batch, order.id, entry, tx.now());
    }
    tx.defer(batch);
    Ok(())
}

fn book(batch: &mut Batch, order: OrderId, entry: &Entry, now: Timestamp) {
    let sql = "INSERT INTO order_journal (order_id, entry, party, amount, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (order_id, entry, party) DO NOTHING";
    for (party, amount) in &entry.lines {
        let values = vec![
            order.to_string().into(),
            entry.name.as_str().into(),
            party.name().into(),
            (*amount).into(),
            now.as_micros().into(),
        ];
        batch.push("order_journal", sql, values, Expect::Any);
    }
}

/// The journal of an order, oldest first.
pub(crate) async fn journal<C: ConnectionTrait>(c: &C, id: OrderId) -> Result<Vec<JournalLine>, Error> {
    let sql = "SELECT entry, party, amount, created_at FROM order_journal WHERE order_id = $1 ORDER BY created_at, entry, party";
    let rows = c.query_all_raw(statement(c, sql, vec![id.to_string().into()])).await?;
    let line = |row: &QueryResult| {
        let party: String = row.try_get_by_index(1)?;
        Ok(JournalLine {
            entry: row.try_get_by_index(0)?,
            party: Party::of_name(&party).ok_or(Error::Corrupt("order_journal.party"))?,
            amount: row.try_get_by_index(2)?,
            at: Timestamp::from_micros(row.try_get_by_index(3)?),
        })
    };
    rows.iter().map(line).collect()
}
