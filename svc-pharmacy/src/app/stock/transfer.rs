//! TransferStock: unreserved stock goes to another branch; both sides are booked in one transaction.

use caremesh_db::Tx;
use caremesh_kernel::{BranchId, Date, LotId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownLot, shown_lot};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::store::stock::{self, Load, Place};

/// What goes where.
#[derive(Clone, Debug)]
pub struct Input {
    /// From which lot.
    pub lot: LotId,
    /// To which branch.
    pub to: BranchId,
    /// Units.
    pub quantity: i64,
}

/// Transfers stock, once per request_id. Answers the lot that gave and the one that took.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Field`] for the branch where it is already; [`Error::Stock`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, (ShownLot, ShownLot), T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let from = stock::place_of_lot(&app.db.read(context), input.lot).await?.ok_or(Error::NotFound)?;
    let giving = app.must_work_at(context, from.branch).await?;
    let taking = crate::app::branch::get(app, context, input.to).await?;
    let to = Place { branch: input.to, ..from };
    if to == from {
        return Err(Error::Field { field: "to_branch_id".to_owned(), rule: "transfer.elsewhere" });
    }
    app.once(context, once, Whose::Nobody, move |tx| {
        let input = input.clone();
        let days = (giving.today(tx.now()), taking.today(tx.now()));
        Box::pin(async move {
            let both = write(tx, &input, from, to, days).await?;
            tx.context().touched(Touched::new(None, input.lot, Action::Changed));
            tx.context().touched(Touched::new(None, both.1.row.lot.id, Action::Changed));
            Ok(Done { resource: input.lot.to_string(), version: 1, outcome: both })
        })
    })
    .await
}

/// Shelves are locked in the order of their places, as everybody does: nobody waits in a circle.
async fn write(
    tx: &Tx,
    input: &Input,
    from: Place,
    to: Place,
    days: (Date, Date),
) -> Result<(ShownLot, ShownLot), Error> {
    let unit = stock::lock_both(tx, from, to).await?.ok_or(Error::NotFound)?;
    let mut giving = stock::load(tx, from, &unit.0, Load::Due(tx.now())).await?;
    let mut taking = stock::load(tx, to, &unit.1, Load::Due(tx.now())).await?;
    giving.expire(tx.now());
    taking.expire(tx.now());
    let lot = giving.send_away(input.lot, input.quantity, days.0)?;
    let fresh = LotId::from_uuid(tx.uuid());
    let arrived = taking.arrive(fresh, &lot, input.quantity, &unit.0, days.1)?;
    let both = (shown_lot(&giving, from, input.lot, days.0)?, shown_lot(&taking, to, arrived, days.1)?);
    stock::write(tx, from, giving, "").await?;
    stock::write(tx, to, taking, "").await?;
    Ok(both)
}
