//! PackParcel: a part of an order, or all that is left of it, goes into a parcel.

use caremesh_kernel::{OrderId, ParcelId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::{Shown, order_in, save};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::ParcelLine;

/// What is packed.
#[derive(Clone, Debug)]
pub struct Input {
    /// Of which order.
    pub order: OrderId,
    /// What; empty for all that is left.
    pub lines: Vec<ParcelLine>,
}

/// Packs a parcel, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Order`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let found = app.order(context, input.order).await?;
    let shown = app.shown_order(context, found.clone()).await?;
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let (input, shown) = (input.clone(), shown.clone());
        Box::pin(async move {
            let row = order_in(tx, input.order).await?;
            row.order.must_be_reserved(tx.now())?;
            let packed = row.order.clone().pack(ParcelId::from_uuid(tx.uuid()), input.lines)?;
            let row = save(tx, packed, row, &[])?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}
