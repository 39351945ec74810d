//! Writing what was done on a shelf: one batch, every changed row once, the journal with it.

use caremesh_db::{Batch, Expect, Tx};

use super::Place;
use crate::domain::stock::{Lot, Movement, Reservation, Shelf};
use crate::store::Error;
use caremesh_db::sql::Column::{Number, Text};
use caremesh_db::sql::{insert, json};
use serde::Serialize;

/// Writes a shelf that was locked in this transaction. `reason` goes into the journal: nothing personal.
pub(crate) async fn write(tx: &Tx, at: Place, shelf: Shelf, reason: &str) -> Result<(), Error> {
    let change = shelf.into_change();
    let mut first = Batch::new();
    change.new_lots.iter().for_each(|lot| new_lot(&mut first, at, lot));
    change.lots.iter().for_each(|lot| changed_lot(&mut first, lot));
    change.new_reservations.iter().for_each(|held| new_reservation(&mut first, at, held));
    change.reservations.iter().for_each(|held| changed_reservation(&mut first, held));
    tx.apply(first).await?;
    // What refers to new rows comes after them: the statements of one batch do not see each other's rows.
    let mut second = Batch::new();
    parts(&mut second, tx, &change.new_reservations);
    journal(&mut second, tx, &change.movements, reason);
    tx.apply(second).await.map(drop)
}

fn new_lot(batch: &mut Batch, at: Place, lot: &Lot) {
    let sql = "INSERT INTO stock_lot (id, branch_id, product_id, number, expires_on, on_hand, reserved, recalled, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    let values = vec![
        lot.id.to_string().into(),
        at.branch.to_string().into(),
        at.product.to_string().into(),
        lot.number.clone().into(),
        lot.expiry.to_string().into(),
        lot.on_hand.into(),
        lot.reserved.into(),
        i64::from(lot.recalled).into(),
    ];
    batch.push("stock_lot", sql, values, Expect::Rows(1));
}

fn changed_lot(batch: &mut Batch, lot: &Lot) {
    let sql = "UPDATE stock_lot SET on_hand = $3, reserved = $4, recalled = $5, version = version + 1 \
         WHERE id = $1 AND version = $2";
    let values = vec![
        lot.id.to_string().into(),
        lot.version.into(),
        lot.on_hand.into(),
        lot.reserved.into(),
        i64::from(lot.recalled).into(),
    ];
    batch.push("stock_lot", sql, values, Expect::Rows(1));
}

fn new_reservation(batch: &mut Batch, at: Place, held: &Reservation) {
    let sql = "INSERT INTO stock_reservation (id, branch_id, product_id, holder, state, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        held.id.to_string().into(),
        at.branch.to_string().into(),
        at.product.to_string().into(),
        held.holder.clone().into(),
        held.state.name().into(),
        held.expires.as_micros().into(),
        held.created.as_micros().into(),
    ];
    batch.push("stock_reservation", sql, values, Expect::Rows(1));
}

/// What was put aside does not change, only how much of it was handed out.
fn changed_reservation(batch: &mut Batch, held: &Reservation) {
    let sql = "UPDATE stock_reservation SET state = $2 WHERE id = $1 AND state = 'HELD'";
    batch.push(
        "stock_reservation",
        sql,
        vec![held.id.to_string().into(), held.state.name().into()],
        Expect::Rows(1),
    );
    for part in &held.parts {
        let sql = "UPDATE stock_reservation_part SET consumed = $3 WHERE reservation_id = $1 AND lot_id = $2";
        let values = vec![held.id.to_string().into(), part.lot.to_string().into(), part.consumed.into()];
        batch.push("stock_reservation_part", sql, values, Expect::Rows(1));
    }
}

#[derive(Serialize)]
struct PartRow {
    reservation_id: String,
    lot_id: String,
    quantity: i64,
    consumed: i64,
}

fn parts(batch: &mut Batch, tx: &Tx, reservations: &[Reservation]) {
    let row = |held: &Reservation, part: &crate::domain::stock::Part| PartRow {
        reservation_id: held.id.to_string(),
        lot_id: part.lot.to_string(),
        quantity: part.quantity,
        consumed: part.consumed,
    };
    let rows: Vec<_> =
        reservations.iter().flat_map(|held| held.parts.iter().map(move |part| row(held, part))).collect();
    if rows.is_empty() {
        return;
    }
    let columns = [Text("reservation_id"), Text("lot_id"), Number("quantity"), Number("consumed")];
    let sql = insert(tx.kind(), "stock_reservation_part", &columns);
    batch.push("stock_reservation_part", sql, vec![json(&rows)], Expect::Rows(rows.len() as u64));
}

#[derive(Serialize)]
struct MovementRow<'a> {
    lot_id: String,
    kind: &'static str,
    on_hand: i64,
    reserved: i64,
    reservation_id: Option<String>,
    reason: &'a str,
    call_id: &'a str,
    moved_at: i64,
}

fn journal(batch: &mut Batch, tx: &Tx, movements: &[Movement], reason: &str) {
    if movements.is_empty() {
        return;
    }
    let row = |movement: &Movement| MovementRow {
        lot_id: movement.lot.to_string(),
        kind: movement.kind.name(),
        on_hand: movement.on_hand,
        reserved: movement.reserved,
        reservation_id: movement.reservation.map(|id| id.to_string()),
        reason,
        call_id: tx.context().call_id(),
        moved_at: tx.now().as_micros(),
    };
    let rows: Vec<_> = movements.iter().map(row).collect();
    let columns = [
        Text("lot_id"),
        Text("kind"),
        Number("on_hand"),
        Number("reserved"),
        Text("reservation_id"),
        Text("reason"),
        Text("call_id"),
        Number("moved_at"),
    ];
    let sql = insert(tx.kind(), "stock_movement", &columns);
    batch.push("stock_movement", sql, vec![json(&rows)], Expect::Rows(rows.len() as u64));
}
