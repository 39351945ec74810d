//! ReceiveStock: a delivery is taken in.

use caremesh_kernel::{Date, LotId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownLot, shown_lot};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::store::stock::{self, Load, Place};

/// What arrived.
#[derive(Clone, Debug)]
pub struct Input {
    /// On which shelf it goes.
    pub at: Place,
    /// The maker's lot number.
    pub number: String,
    /// The first day on which it must not be handed out.
    pub expiry: Date,
    /// Units.
    pub quantity: i64,
    /// Unit of the quantity.
    pub unit: String,
}

/// Takes in a delivery, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for a branch that is not the caller's; [`Error::Stock`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, ShownLot, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let branch = app.must_work_at(context, input.at.branch).await?;
    app.once(context, once, Whose::Nobody, move |tx| {
        let (input, today) = (input.clone(), branch.today(tx.now()));
        Box::pin(async move {
            let unit = stock::open(tx, input.at, &input.unit).await?;
            let mut shelf = stock::load(tx, input.at, &unit, Load::Due(tx.now())).await?;
            shelf.expire(tx.now());
            let fresh = LotId::from_uuid(tx.uuid());
            let id = shelf.receive(fresh, &input.number, input.expiry, input.quantity, &input.unit, today)?;
            let outcome = shown_lot(&shelf, input.at, id, today)?;
            tx.context().touched(Touched::new(None, id, Action::Changed));
            stock::write(tx, input.at, shelf, "").await?;
            Ok(Done { resource: id.to_string(), version: outcome.row.lot.version, outcome })
        })
    })
    .await
}
