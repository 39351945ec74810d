//! GetOrder, ListOrders, GetSettlement: what is known of orders, for those who may.

use caremesh_kernel::{BranchId, OrderId, PersonId};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::Shown;
use crate::app::{App, Error};
use crate::domain::order::{JournalLine, Party, balance_of};
use crate::store::order::{self, Listed};

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    at: i64,
    id: String,
}

/// Which orders.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of this patient.
    pub patient: Option<PersonId>,
    /// Of this branch.
    pub branch: Option<BranchId>,
}

/// An order.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(app: &App, context: &CallContext, id: OrderId) -> Result<Shown, Error> {
    let row = app.order(context, id).await?;
    app.shown_order(context, row).await
}

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a patient or a branch that the caller may not know.
pub async fn list(
    app: &App,
    context: &CallContext,
    wanted: Wanted,
    page: &Page<Cursor>,
) -> Result<(Vec<Shown>, Option<Cursor>), Error> {
    let listed = listed(app, context, wanted).await?;
    let after = page.after.clone().map(|cursor| (cursor.at, cursor.id));
    let mut rows = order::list(&app.db.read(context), &listed, after, page.size + 1).await?;
    let more = rows.len() > page.size as usize;
    rows.truncate(page.size as usize);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|row| Cursor { at: row.order.created.as_micros(), id: row.order.id.to_string() });
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        context.touched(Touched::read(row.order.patient, row.order.id));
        shown.push(app.shown_order(context, row).await?);
    }
    if shown.is_empty() {
        context.touched(Touched::read(wanted.patient, "orders"));
    }
    Ok((shown, next))
}

async fn listed(app: &App, context: &CallContext, wanted: Wanted) -> Result<Listed, Error> {
    if let Some(branch) = wanted.branch {
        app.must_work_at(context, branch).await?;
        return Ok(Listed::Branch(branch));
    }
    if let Some(patient) = wanted.patient {
        app.must_see_person(context, patient).await?;
        return Ok(Listed::Patient(patient));
    }
    context.principal().person_id().map(Listed::Own).ok_or(Error::NotFound)
}

/// The journal of an order and what it comes to.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Oldest first.
    pub lines: Vec<JournalLine>,
    /// What is open per party.
    pub balances: Vec<(Party, i64)>,
    /// The member owes and is owed nothing, and nothing more will come.
    pub settled: bool,
}

/// The journal of an order.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn settlement(app: &App, context: &CallContext, id: OrderId) -> Result<Settlement, Error> {
    let row = app.order(context, id).await?;
    let lines = order::journal(&app.db.read(context), id).await?;
    let balances: Vec<_> = Party::ALL.into_iter().map(|party| (party, balance_of(&lines, party))).collect();
    let settled = row.order.state.is_closed() && !row.order.closing && balance_of(&lines, Party::Member) == 0;
    Ok(Settlement { lines, balances, settled })
}
