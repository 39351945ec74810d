//! CountStock: what a stock-take found counts, also when less is there than was promised.

use caremesh_kernel::LotId;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownLot, shown_lot};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once, pharmacy_events};
use crate::store::stock::{self, Load};

/// What was found.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which lot.
    pub lot: LotId,
    /// Units found.
    pub counted: i64,
    /// Version of the lot as it was read before the count.
    pub version: i64,
    /// Why it differs.
    pub reason: String,
}

/// The lot after the count, and how many reservations it broke.
pub struct Outcome {
    /// The lot.
    pub lot: ShownLot,
    /// Broken reservations.
    pub broken: usize,
}

/// Records a stock-take, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Stale`] when the lot moved during the count.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Outcome, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let at = stock::place_of_lot(&app.db.read(context), input.lot).await?.ok_or(Error::NotFound)?;
    let branch = app.must_work_at(context, at.branch).await?;
    app.once(context, once, Whose::Nobody, move |tx| {
        let (input, today) = (input.clone(), branch.today(tx.now()));
        Box::pin(async move {
            let mut shelf = stock::locked(tx, at, Load::Held).await?.ok_or(Error::NotFound)?;
            if shelf.lot(input.lot).is_none_or(|lot| lot.version != input.version) {
                return Err(Error::Stale);
            }
            let counted = shelf.count(input.lot, input.counted)?;
            tx.emit(pharmacy_events::broken(&shelf, &counted.broken, tx.now()));
            let lot = shown_lot(&shelf, at, input.lot, today)?;
            tx.context().touched(Touched::new(None, input.lot, Action::Changed));
            stock::write(tx, at, shelf, &input.reason).await?;
            let version = lot.row.lot.version;
            let outcome = Outcome { lot, broken: counted.broken.len() };
            Ok(Done { resource: input.lot.to_string(), version, outcome })
        })
    })
    .await
}
