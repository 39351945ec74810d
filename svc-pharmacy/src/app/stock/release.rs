//! ReleaseReservation: what was put aside is given back, once.

use caremesh_kernel::ReservationId;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownReservation, shown_reservation};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::store::stock::{self, Load};

/// Releases a reservation of the caller's branch, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Stock`] when it was consumed or broken.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, ShownReservation, T>,
    id: ReservationId,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let at = stock::place_of(&app.db.read(context), id).await?.ok_or(Error::NotFound)?;
    app.must_work_at(context, at.branch).await?;
    app.once(context, once, Whose::Nobody, move |tx| {
        Box::pin(async move {
            stock::release(tx, id).await?;
            let unit = stock::lock(tx, at).await?.ok_or(Error::NotFound)?;
            let shelf = stock::load(tx, at, &unit, Load::One(id)).await?;
            let reservation = shelf.reservation(id).ok_or(Error::NotFound)?.clone();
            tx.context().touched(Touched::new(None, id, Action::Changed));
            let outcome = shown_reservation(&shelf, at, reservation);
            Ok(Done { resource: id.to_string(), version: 1, outcome })
        })
    })
    .await
}
