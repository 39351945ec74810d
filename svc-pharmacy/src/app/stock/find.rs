//! FindStock: which branches could hand out a quantity now, nearest first.

use caremesh_kernel::{ProductId, Timestamp};
use caremesh_mesh::CallContext;

use crate::app::{App, Error};
use crate::domain::branch::{Point, nearest_first};
use crate::store::branch::{self, Row};
use crate::store::stock::{self, Load, Place};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Which product.
    pub product: ProductId,
    /// Units.
    pub quantity: i64,
    /// From where.
    pub near: Point,
    /// How many branches at most.
    pub limit: usize,
}

/// The branches, with their distance in metres, and the instant at which they were looked at.
///
/// # Errors
/// What the store answers.
pub async fn run(
    app: &App,
    context: &CallContext,
    input: Input,
) -> Result<(Vec<(Row, i64)>, Timestamp), Error> {
    let branches = able(app, context, input.product, input.quantity).await?;
    let mut sorted = nearest_first(input.near, branches, |branch: &Row| branch.place);
    sorted.truncate(input.limit);
    Ok((sorted, app.clock.now()))
}

/// Branches that may dispense today and have the quantity free. A hold whose time is over counts as free already.
pub(crate) async fn able(
    app: &App,
    context: &CallContext,
    product: ProductId,
    quantity: i64,
) -> Result<Vec<Row>, Error> {
    let (reader, now) = (app.db.read(context), app.clock.now());
    let mut able = Vec::new();
    for branch in branch::with_stock(&reader, product).await? {
        let at = Place { branch: branch.id, product };
        let mut shelf = stock::load(&reader, at, "", Load::Due(now)).await?;
        shelf.expire(now);
        if branch.may_dispense(now) && shelf.free(branch.today(now)) >= quantity {
            able.push(branch);
        }
    }
    Ok(able)
}
