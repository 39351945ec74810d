//! DeliverParcel and FailDelivery: the parcel reached the patient, with proof and cash, or it did not.

use caremesh_db::process::NewProcess;
use caremesh_kernel::{OrderId, ParcelId, ProcessId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::{Shown, flow, order_in, proof_field, save};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::{Entry, Method, Order};

/// Records a delivery, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Order`].
pub async fn deliver<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    (id, parcel, proof): (OrderId, ParcelId, String),
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let found = app.order(context, id).await?;
    let key = app.keys.key(context, found.order.patient).await?;
    let sealed = hex::encode(key.seal(proof_field(&parcel.to_string()), proof.as_bytes())?);
    let mut shown = app.shown_order(context, found.clone()).await?;
    shown.proofs.push((parcel, proof));
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let (shown, sealed) = (shown.clone(), sealed.clone());
        Box::pin(async move {
            let row = order_in(tx, id).await?;
            let mut order = row.order.clone().deliver(parcel, sealed)?;
            let entries = cash(&mut order, parcel)?;
            let row = save(tx, order, row, &entries)?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}

/// Who pays at the door has paid now.
fn cash(order: &mut Order, parcel: ParcelId) -> Result<Vec<Entry>, Error> {
    let due = order.parcel(parcel)?.shares.member();
    let name = format!("paid/{parcel}");
    match (order.method, &mut order.payment) {
        (Method::Cash, Some(paid)) if due > 0 => {
            paid.captured += due;
            Ok(vec![Entry::paid(name, due)])
        }
        _ => Ok(Vec::new()),
    }
}

/// A delivery that failed.
#[derive(Clone, Copy, Debug)]
pub struct Fail {
    /// Of which order.
    pub order: OrderId,
    /// Which parcel.
    pub parcel: ParcelId,
    /// It will not be tried again.
    pub for_good: bool,
}

/// Records a failed delivery, once per request_id. For good: the order is priced anew for what is kept.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Order`].
pub async fn fail<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    failed: Fail,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let found = app.order(context, failed.order).await?;
    let shown = app.shown_order(context, found.clone()).await?;
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let shown = shown.clone();
        Box::pin(async move {
            let row = order_in(tx, failed.order).await?;
            let order = row.order.clone();
            let order = if failed.for_good {
                order.fail_delivery(failed.parcel)?
            } else {
                order.try_again(failed.parcel)?
            };
            if failed.for_good {
                tx.start_process(&reprice(&order, tx.now()));
            }
            let row = save(tx, order, row, &[])?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}

/// The process that prices an order anew; one per revision.
pub(super) fn reprice(order: &Order, now: caremesh_kernel::Timestamp) -> NewProcess {
    NewProcess {
        id: ProcessId::derive(order.id.uuid(), &["reprice", &order.revision.to_string()]),
        kind: flow::REPRICE,
        first_time: now,
        data: flow::data(order.id, None),
    }
}
