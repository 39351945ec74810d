//! ReturnGoods: delivered goods come back. They are destroyed, and what is kept is priced anew.

use caremesh_kernel::OrderId;
use caremesh_mesh::CallContext;
use prost::Message;

use super::deliver::reprice;
use super::{Shown, order_in, save};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::ParcelLine;

/// Takes goods back, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Order`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    (id, lines): (OrderId, Vec<ParcelLine>),
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let found = app.order(context, id).await?;
    let shown = app.shown_order(context, found.clone()).await?;
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let (shown, lines) = (shown.clone(), lines.clone());
        Box::pin(async move {
            let row = order_in(tx, id).await?;
            let order = row.order.clone().take_back(&lines)?;
            tx.start_process(&reprice(&order, tx.now()));
            let row = save(tx, order, row, &[])?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}
