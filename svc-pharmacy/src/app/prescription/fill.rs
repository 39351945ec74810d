//! One fill inside the caller's transaction: counted on the item, so over all branches, and recorded with its lots. The
//! counter calls it here; orders call it when they dispense.

use caremesh_db::Tx;
use caremesh_db::keys::{Field, PersonKey};
use caremesh_kernel::{BranchId, Date, DispenseId, PersonId, PharmacistId, PrescriptionItemId, ProductId};
use caremesh_mesh::{Action, Touched};
use caremesh_proto::pharmacy::v1::EventType;

use super::{Opened, next_row, opened, seal};
use crate::app::{Error, pharmacy_events};
use crate::domain::prescription::{FillAsk, PaperState, StateForbids, SubstitutionReason};
use crate::domain::stock::Part;
use crate::store::fill::{self, Row};
use crate::store::prescription;

/// What is handed out, to whom, by whom.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Of which item.
    pub item: PrescriptionItemId,
    /// For whom: an item of anybody else's is not found (INV-R3).
    pub patient: PersonId,
    /// How much, in which unit, and why it may be early.
    pub ask: FillAsk,
    /// Where.
    pub branch: BranchId,
    /// What.
    pub product: ProductId,
    /// Why another product than the prescribed one.
    pub substitution: Option<SubstitutionReason>,
    /// By whom: a registered pharmacist of that branch (INV-R10); `App::pharmacist` says so.
    pub pharmacist: PharmacistId,
    /// For which order (`ord_…`), or `counter`.
    pub holder: String,
}

/// A fill as it was recorded, and the prescription after it.
pub(crate) struct Filled {
    /// The record.
    pub record: Row,
    /// The prescription.
    pub after: Opened,
}

/// Hands out a fill, or a part of one, on a day. The stock was consumed in the same transaction: `lots` says from where.
/// `key` is the patient's, fetched before the transaction.
///
/// # Errors
/// [`Error::NotFound`] for an item that is not the patient's; [`Error::State`] when the prescription is not verified;
/// [`Error::Fill`]; [`Error::Stale`] when another branch filled it at the same moment: nothing was handed out, try again.
pub(crate) async fn fill_in(
    tx: &Tx,
    key: &PersonKey,
    wish: &Wish,
    lots: Vec<Part>,
    today: Date,
) -> Result<Filled, Error> {
    let row = prescription::find_by_item(tx, wish.item).await?.ok_or(Error::NotFound)?;
    if row.patient != wish.patient {
        return Err(Error::NotFound);
    }
    if row.state != PaperState::Verified {
        return Err(StateForbids { state: row.state.name() }.into());
    }
    let items = prescription::items(tx, row.id).await?;
    let mut all = opened(key, row, items)?;
    let place = all.items.iter().position(|(row, _)| row.id == wish.item).ok_or(Error::NotFound)?;
    let fill = all.items[place].1.fill(&wish.ask, today)?;
    let after = next_row(key, &all.items[place].0, &fill.item)?;
    all.row.version += 1;

    let id = DispenseId::from_uuid(tx.uuid());
    let record = record(tx, key, id, wish, fill.number, lots)?;
    tx.emit([pharmacy_events::prescription(EventType::PrescriptionFilled, all.row.id, tx.now())]);
    tx.context().touched(Touched::new(wish.patient, wish.item, Action::Changed));
    let mut batch = prescription::update(&all.row);
    batch.append(prescription::update_items(std::slice::from_ref(&after)));
    batch.append(fill::insert(&record));
    tx.apply(batch).await?;
    tx.apply(fill::insert_lots(&record)).await?;
    all.items[place] = (after, fill.item);
    Ok(Filled { record, after: all })
}

fn record(
    tx: &Tx,
    key: &PersonKey,
    id: DispenseId,
    wish: &Wish,
    number: u32,
    lots: Vec<Part>,
) -> Result<Row, Error> {
    let text = id.to_string();
    let field = Field { table: "prescription_fill", column: "product_sealed", row: &text };
    Ok(Row {
        id,
        item: wish.item,
        number,
        branch: wish.branch,
        product_sealed: seal(key, field, &wish.product)?,
        quantity: wish.ask.quantity,
        unit: wish.ask.unit.clone(),
        substitution: wish.substitution,
        early: wish.ask.early,
        pharmacist: wish.pharmacist,
        holder: wish.holder.clone(),
        lots,
        at: tx.now(),
    })
}
