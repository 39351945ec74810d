//! Reading a shelf. The row of `stock_item` is its lock: whoever changes the shelf updates it first, and everybody else
//! waits there, on both databases, before they read a lot.

use std::collections::BTreeMap;

use caremesh_db::Tx;
use caremesh_kernel::{ReservationId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{Place, read_lot};
use crate::domain::stock::{Part, Reservation, ReservationState, Shelf};
use crate::store::{Error, parse_id};
use caremesh_db::sql::statement;

/// Which reservations come with a shelf, beside those whose time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// None but those whose time is over at this instant.
    Due(Timestamp),
    /// This one, whatever its state.
    One(ReservationId),
    /// Every one that is held.
    Held,
}

/// Locks the shelf until COMMIT and gives its unit; none when nobody ever had the product there.
pub(crate) async fn lock(tx: &Tx, at: Place) -> Result<Option<String>, Error> {
    let sql = "UPDATE stock_item SET version = version + 1 WHERE branch_id = $1 AND product_id = $2 RETURNING unit_code";
    let row = tx.query_one_raw(statement(tx, sql, key(at))).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Locks the shelf, and makes it with this unit when it is not there.
pub(crate) async fn open(tx: &Tx, at: Place, unit: &str) -> Result<String, Error> {
    let sql = "INSERT INTO stock_item (branch_id, product_id, unit_code, version) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (branch_id, product_id) DO UPDATE SET version = stock_item.version + 1 RETURNING unit_code";
    let values = [key(at), vec![unit.into()]].concat();
    let row = tx.query_one_raw(statement(tx, sql, values)).await?.ok_or(Error::Corrupt("a shelf"))?;
    Ok(row.try_get_by_index(0)?)
}

fn key(at: Place) -> Vec<Value> {
    vec![at.branch.to_string().into(), at.product.to_string().into()]
}

/// The lots of a shelf and the reservations asked for.
pub(crate) async fn load<C: ConnectionTrait>(
    c: &C,
    at: Place,
    unit: &str,
    load: Load,
) -> Result<Shelf, Error> {
    let sql = "SELECT id, number, expires_on, on_hand, reserved, recalled, version FROM stock_lot \
         WHERE branch_id = $1 AND product_id = $2";
    let rows = c.query_all_raw(statement(c, sql, key(at))).await?;
    let lots = rows.iter().map(read_lot).collect::<Result<_, _>>()?;
    Ok(Shelf::new(unit, lots, reservations(c, at, load).await?))
}

const RESERVATION: &str = "SELECT r.id, r.holder, r.state, r.expires_at, r.created_at, p.lot_id, p.quantity, p.consumed \
     FROM stock_reservation r JOIN stock_reservation_part p ON p.reservation_id = r.id \
     JOIN stock_lot l ON l.id = p.lot_id WHERE ";

async fn reservations<C: ConnectionTrait>(c: &C, at: Place, load: Load) -> Result<Vec<Reservation>, Error> {
    let (chosen, value): (&str, Value) = match load {
        Load::Due(now) => ("r.state = 'HELD' AND r.expires_at <= $3", now.as_micros().into()),
        Load::Held => ("r.state = 'HELD' AND r.expires_at > $3", i64::MIN.into()),
        Load::One(id) => ("r.id = $3", id.to_string().into()),
    };
    let sql = format!(
        "{RESERVATION} r.branch_id = $1 AND r.product_id = $2 AND {chosen} ORDER BY r.id, l.expires_on, l.id"
    );
    let rows = c.query_all_raw(statement(c, &sql, [key(at), vec![value]].concat())).await?;
    let mut found: BTreeMap<ReservationId, Reservation> = BTreeMap::new();
    for row in &rows {
        let one = read(row)?;
        found
            .entry(one.id)
            .or_insert_with(|| Reservation { parts: Vec::new(), ..one })
            .parts
            .push(part(row)?);
    }
    Ok(found.into_values().collect())
}

fn read(row: &QueryResult) -> Result<Reservation, Error> {
    let state: String = row.try_get_by_index(2)?;
    Ok(Reservation {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        holder: row.try_get_by_index(1)?,
        parts: Vec::new(),
        state: ReservationState::of_name(&state).ok_or(Error::Corrupt("state of a reservation"))?,
        expires: Timestamp::from_micros(row.try_get_by_index(3)?),
        created: Timestamp::from_micros(row.try_get_by_index(4)?),
    })
}

fn part(row: &QueryResult) -> Result<Part, Error> {
    Ok(Part {
        lot: parse_id(&row.try_get_by_index::<String>(5)?)?,
        quantity: row.try_get_by_index(6)?,
        consumed: row.try_get_by_index(7)?,
    })
}

/// Locks two shelves of one product in the order of their places and gives both units; the second is made when it is not
/// there. None when the first is not there.
pub(crate) async fn lock_both(tx: &Tx, from: Place, to: Place) -> Result<Option<(String, String)>, Error> {
    if from < to {
        let Some(unit) = lock(tx, from).await? else { return Ok(None) };
        let other = open(tx, to, &unit).await?;
        return Ok(Some((unit, other)));
    }
    // The unit of the giving shelf never changes once it is there, so it may be read before its turn.
    let sql = "SELECT unit_code FROM stock_item WHERE branch_id = $1 AND product_id = $2";
    let Some(row) = tx.query_one_raw(statement(tx, sql, key(from))).await? else { return Ok(None) };
    let other = open(tx, to, &row.try_get_by_index::<String>(0)?).await?;
    Ok(lock(tx, from).await?.map(|unit| (unit, other)))
}
