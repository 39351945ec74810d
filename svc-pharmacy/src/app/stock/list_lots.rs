//! ListLots: the lots of a branch, by product, then by expiry.

use caremesh_kernel::{BranchId, ProductId};
use caremesh_mesh::CallContext;
use caremesh_mesh::page::Page;
use serde::{Deserialize, Serialize};

use super::ShownLot;
use crate::app::{App, Error};
use crate::store::stock;

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    product: String,
    expiry: String,
    id: String,
}

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a branch that is not the caller's.
pub async fn run(
    app: &App,
    context: &CallContext,
    branch: BranchId,
    product: Option<ProductId>,
    page: &Page<Cursor>,
) -> Result<(Vec<ShownLot>, Option<Cursor>), Error> {
    let branch = app.must_work_at(context, branch).await?;
    let after = page.after.clone().map(|cursor| (cursor.product, cursor.expiry, cursor.id));
    let mut rows = stock::list_lots(&app.db.read(context), branch.id, product, after, page.size + 1).await?;
    let more = rows.len() > page.size as usize;
    rows.truncate(page.size as usize);
    let next = rows.last().filter(|_| more).map(|row| Cursor {
        product: row.at.product.to_string(),
        expiry: row.lot.expiry.to_string(),
        id: row.lot.id.to_string(),
    });
    let today = branch.today(app.clock.now());
    Ok((rows.into_iter().map(|row| ShownLot { row, today }).collect(), next))
}
