//! Fills that were handed out, with their lots: what a recall asks for.

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{BranchId, DispenseId, PharmacistId, PrescriptionItemId, Timestamp};

use crate::domain::prescription::{IntervalOverride, SubstitutionReason};
use crate::domain::stock::Part;

/// A row of `prescription_fill`.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: DispenseId,
    /// Of which item.
    pub item: PrescriptionItemId,
    /// Which fill of the item, from 1.
    pub number: u32,
    /// Where.
    pub branch: BranchId,
    /// What, sealed.
    pub product_sealed: Vec<u8>,
    /// Units.
    pub quantity: i64,
    /// Unit of the quantity.
    pub unit: String,
    /// Why another product than the prescribed one.
    pub substitution: Option<SubstitutionReason>,
    /// Why earlier than its interval.
    pub early: Option<IntervalOverride>,
    /// By whom.
    pub pharmacist: PharmacistId,
    /// For which order (`ord_…`), or `counter`.
    pub holder: String,
    /// From which lots.
    pub lots: Vec<Part>,
    /// When.
    pub at: Timestamp,
}

/// A new fill; its lots follow with [`insert_lots`], after it.
pub(crate) fn insert(row: &Row) -> Batch {
    let sql = "INSERT INTO prescription_fill (id, item_id, number, branch_id, product_sealed, quantity, unit_code, \
         substitution, early, pharmacist_id, holder, filled_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let values = vec![
        row.id.to_string().into(),
        row.item.to_string().into(),
        i64::from(row.number).into(),
        row.branch.to_string().into(),
        row.product_sealed.clone().into(),
        row.quantity.into(),
        row.unit.clone().into(),
        row.substitution.map(|reason| reason.name().to_owned()).into(),
        row.early.map(|reason| reason.name().to_owned()).into(),
        row.pharmacist.to_string().into(),
        row.holder.clone().into(),
        row.at.as_micros().into(),
    ];
    let mut batch = Batch::new();
    batch.push("prescription_fill", sql, values, Expect::Rows(1));
    batch
}

/// The lots of a fill.
pub(crate) fn insert_lots(row: &Row) -> Batch {
    let mut batch = Batch::new();
    for part in &row.lots {
        let sql = "INSERT INTO prescription_fill_lot (fill_id, lot_id, quantity) VALUES ($1, $2, $3)";
        let values = vec![row.id.to_string().into(), part.lot.to_string().into(), part.quantity.into()];
        batch.push("prescription_fill_lot", sql, values, Expect::Rows(1));
    }
    batch
}
