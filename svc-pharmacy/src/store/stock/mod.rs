//! The shelves: lots, reservations and the journal of stock. Every change of a shelf goes through [`on_shelf`], or through
//! [`reserve`], [`release`] and [`consume`], which orders call inside their own transactions.

mod shelf;
mod write;

use caremesh_db::Tx;
use caremesh_kernel::{BranchId, Date, LotId, ProductId, ReservationId};
use sea_orm::{ConnectionTrait, QueryResult};

pub(crate) use shelf::{Load, load, lock, lock_both, open};
pub(crate) use write::write;

use super::{Error, parse_date, parse_id};
use crate::domain::stock::{Ask, Lot, Part, Refusal, Reservation, Shelf};
use caremesh_db::sql::statement;

/// Which shelf: one product at one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The branch.
    pub branch: BranchId,
    /// The product.
    pub product: ProductId,
}

/// Why stock could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The rules of stock forbid it; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Puts stock aside inside the caller's transaction: first to expire first, all or nothing. Holds of the shelf whose time is
/// over are ended before, in the same transaction, so that no sweeper is needed.
///
/// The shelf is locked until COMMIT, so that two who want the last pack come one after the other. Who reserves several
/// products in one transaction calls this in the order of [`Place`], so that nobody waits in a circle.
///
/// `ask.holder` says whose it is (`ord_…`); `today` is the day at the branch. Whether the branch may dispense at all is
/// asked before: `App::licensed_branch`.
///
/// # Errors
/// [`Refusal::Shortage`] when less is free, or nobody ever had the product there; [`Refusal::Unit`] for another unit.
pub(crate) async fn reserve(tx: &Tx, at: Place, ask: &Ask, today: Date) -> Result<Reservation, StockError> {
    let mut shelf = locked(tx, at, Load::Due(tx.now())).await?.ok_or(Refusal::Shortage { free: 0 })?;
    let reserved = shelf.reserve(ask, today, tx.now())?.clone();
    write(tx, at, shelf, "").await?;
    Ok(reserved)
}

/// Gives a reservation back inside the caller's transaction. Says whether this call did it: releasing again, or after its
/// time, changes nothing and is no error, so a compensation may be repeated.
///
/// # Errors
/// [`Refusal::Unknown`]; [`Refusal::Closed`] when it was handed out or broken.
pub(crate) async fn release(tx: &Tx, id: ReservationId) -> Result<bool, StockError> {
    let at = place_of(tx, id).await?.ok_or(Refusal::Unknown)?;
    let mut shelf = locked(tx, at, Load::One(id)).await?.ok_or(Refusal::Unknown)?;
    let released = shelf.release(id)?;
    write(tx, at, shelf, "").await?;
    Ok(released)
}

/// Hands out a quantity of a reservation inside the caller's transaction; what is left stays put aside until it is consumed
/// too, released or over. Gives what came from which lot, for the record of the dispense.
///
/// # Errors
/// [`Refusal::Unknown`]; [`Refusal::Closed`] when it is over, was released or was broken by a recall; [`Refusal::Expired`]
/// or [`Refusal::Recalled`] when a lot is not good any more; [`Refusal::Shortage`] for more than is left.
pub(crate) async fn consume(
    tx: &Tx,
    id: ReservationId,
    quantity: i64,
    today: Date,
) -> Result<Vec<Part>, StockError> {
    let at = place_of(tx, id).await?.ok_or(Refusal::Unknown)?;
    let mut shelf = locked(tx, at, Load::One(id)).await?.ok_or(Refusal::Unknown)?;
    let parts = shelf.consume(id, quantity, today)?;
    write(tx, at, shelf, "").await?;
    Ok(parts)
}

/// A shelf, locked until COMMIT, with everything expired that is due now. None: nobody ever had the product there.
pub(crate) async fn locked(tx: &Tx, at: Place, load: Load) -> Result<Option<Shelf>, Error> {
    let Some(unit) = lock(tx, at).await? else { return Ok(None) };
    let mut shelf = shelf::load(tx, at, &unit, load).await?;
    shelf.expire(tx.now());
    Ok(Some(shelf))
}

/// Where a reservation lies.
pub(crate) async fn place_of<C: ConnectionTrait>(c: &C, id: ReservationId) -> Result<Option<Place>, Error> {
    let sql = "SELECT branch_id, product_id FROM stock_reservation WHERE id = $1";
    place(c, sql, id.to_string()).await
}

/// On which shelf a lot lies.
pub(crate) async fn place_of_lot<C: ConnectionTrait>(c: &C, id: LotId) -> Result<Option<Place>, Error> {
    place(c, "SELECT branch_id, product_id FROM stock_lot WHERE id = $1", id.to_string()).await
}

async fn place<C: ConnectionTrait>(c: &C, sql: &str, id: String) -> Result<Option<Place>, Error> {
    let row = c.query_one_raw(statement(c, sql, vec![id.into()])).await?;
    row.map(|row| {
        let branch = parse_id(&row.try_get_by_index::<String>(0)?)?;
        Ok(Place { branch, product: parse_id(&row.try_get_by_index::<String>(1)?)? })
    })
    .transpose()
}

/// Branches at which a maker's lot of a product lies.
pub(crate) async fn branches_with_lot<C: ConnectionTrait>(
    c: &C,
    product: ProductId,
    number: &str,
) -> Result<Vec<(BranchId, LotId)>, Error> {
    let sql = "SELECT branch_id, id FROM stock_lot WHERE product_id = $1 AND number = $2 ORDER BY branch_id";
    let rows = c.query_all_raw(statement(c, sql, vec![product.to_string().into(), number.into()])).await?;
    rows.iter()
        .map(|row| {
            let branch = parse_id(&row.try_get_by_index::<String>(0)?)?;
            Ok((branch, parse_id(&row.try_get_by_index::<String>(1)?)?))
        })
        .collect()
}

/// Shelves on which some hold's time is over: what the sweeper tidies. Correctness does not wait for it.
pub(crate) async fn due<C: ConnectionTrait>(c: &C, now: i64, limit: u32) -> Result<Vec<Place>, Error> {
    let sql = "SELECT DISTINCT branch_id, product_id FROM stock_reservation WHERE state = 'HELD' AND expires_at <= $1 \
         ORDER BY branch_id, product_id LIMIT $2";
    let rows = c.query_all_raw(statement(c, sql, vec![now.into(), i64::from(limit).into()])).await?;
    rows.iter()
        .map(|row| {
            let branch = parse_id(&row.try_get_by_index::<String>(0)?)?;
            Ok(Place { branch, product: parse_id(&row.try_get_by_index::<String>(1)?)? })
        })
        .collect()
}

/// A lot with where it lies and in which unit it is counted.
#[derive(Clone, Debug)]
pub struct LotRow {
    /// On which shelf.
    pub at: Place,
    /// The unit.
    pub unit: String,
    /// The lot.
    pub lot: Lot,
}

const LOT: &str = "l.id, l.number, l.expires_on, l.on_hand, l.reserved, l.recalled, l.version, l.branch_id, l.product_id, i.unit_code";

/// Lots of a branch after a place of the list.
pub(crate) async fn list_lots<C: ConnectionTrait>(
    c: &C,
    branch: BranchId,
    product: Option<ProductId>,
    after: Option<(String, String, String)>,
    limit: u32,
) -> Result<Vec<LotRow>, Error> {
    let sql = format!(
        "SELECT {LOT} FROM stock_lot l JOIN stock_item i ON i.branch_id = l.branch_id AND i.product_id = l.product_id \
         WHERE l.branch_id = $1 AND ($2 = '' OR l.product_id = $2) \
         AND (l.product_id > $3 OR (l.product_id = $3 AND (l.expires_on > $4 OR (l.expires_on = $4 AND l.id > $5)))) \
         ORDER BY l.product_id, l.expires_on, l.id LIMIT $6"
    );
    let (after_product, expiry, id) = after.unwrap_or_default();
    let product = product.map(|product| product.to_string()).unwrap_or_default();
    let values = vec![
        branch.to_string().into(),
        product.into(),
        after_product.into(),
        expiry.into(),
        id.into(),
        i64::from(limit).into(),
    ];
    let rows = c.query_all_raw(statement(c, &sql, values)).await?;
    rows.iter().map(read_lot_row).collect()
}

fn read_lot_row(row: &QueryResult) -> Result<LotRow, Error> {
    let branch = parse_id(&row.try_get_by_index::<String>(7)?)?;
    let product = parse_id(&row.try_get_by_index::<String>(8)?)?;
    Ok(LotRow { at: Place { branch, product }, lot: read_lot(row)?, unit: row.try_get_by_index(9)? })
}

/// The first seven columns of [`LOT`].
fn read_lot(row: &QueryResult) -> Result<Lot, Error> {
    let recalled: i64 = row.try_get_by_index(5)?;
    Ok(Lot {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        number: row.try_get_by_index(1)?,
        expiry: parse_date(&row.try_get_by_index::<String>(2)?)?,
        on_hand: row.try_get_by_index(3)?,
        reserved: row.try_get_by_index(4)?,
        recalled: recalled != 0,
        version: row.try_get_by_index(6)?,
    })
}

/// Differences between lots and their journal: there are none, or the journal lies.
pub(crate) async fn differences<C: ConnectionTrait>(c: &C) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM stock_lot l WHERE l.on_hand <> \
         (SELECT COALESCE(SUM(m.on_hand), 0) FROM stock_movement m WHERE m.lot_id = l.id) OR l.reserved <> \
         (SELECT COALESCE(SUM(m.reserved), 0) FROM stock_movement m WHERE m.lot_id = l.id) OR l.reserved <> \
         (SELECT COALESCE(SUM(p.quantity - p.consumed), 0) FROM stock_reservation_part p \
          JOIN stock_reservation r ON r.id = p.reservation_id WHERE p.lot_id = l.id AND r.state = 'HELD')";
    let row = c.query_one_raw(statement(c, sql, vec![])).await?.ok_or(Error::Corrupt("a count"))?;
    Ok(row.try_get_by_index(0)?)
}
