//! CancelOrder, and what time cancels by itself. Stock goes back in the transaction that cancels, exactly once; benefit and
//! own share in the process that it begins.

use caremesh_db::Tx;
use caremesh_db::process::NewProcess;
use caremesh_kernel::{OrderId, ProcessId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::deliver::reprice;
use super::{Shown, flow, order_in, save};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::{Event, Order};
use crate::domain::stock::Refusal;
use crate::store::order::{self, Row};
use crate::store::stock::{self, StockError};

/// Orders that one round of expiring takes at most.
const ROUND: u32 = 100;

/// Cancels an order, or what of it is not dispensed, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Order`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: OrderId,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let found = app.order(context, id).await?;
    let shown = app.shown_order(context, found.clone()).await?;
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let shown = shown.clone();
        Box::pin(async move {
            let row = order_in(tx, id).await?;
            let row = close(tx, row, Event::Cancel, "CANCELLED").await?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}

/// Closes an order in the caller's transaction: unpacks, gives stock back, and begins the process that gives the rest back.
pub(super) async fn close(tx: &Tx, row: Row, event: Event, reason: &str) -> Result<Row, Error> {
    let order = row.order.clone().cancel(event, reason)?;
    release_stock(tx, &order).await?;
    let process = if order.closing { reprice(&order, tx.now()) } else { give_back(&order, tx.now()) };
    tx.start_process(&process);
    save(tx, order, row, &[])
}

/// The process that gives benefit and own share back; one per order.
fn give_back(order: &Order, now: caremesh_kernel::Timestamp) -> NewProcess {
    NewProcess {
        id: ProcessId::derive(order.id.uuid(), &["close"]),
        kind: flow::CLOSE,
        first_time: now,
        data: flow::data(order.id, None),
    }
}

/// What was handed out, or broken by a recall, is not there to be given back.
pub(super) async fn release_stock(tx: &Tx, order: &Order) -> Result<(), Error> {
    let mut lines: Vec<_> = order.lines.iter().collect();
    lines.sort_unstable_by_key(|line| line.product);
    for line in lines {
        match stock::release(tx, line.reservation).await {
            Ok(_) | Err(StockError::Refused(Refusal::Closed(_) | Refusal::Unknown)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Closes the orders whose reservations are over. Correctness does not wait for it: every step looks at the time itself.
///
/// # Errors
/// [`Error::Store`].
pub async fn expire_due(app: &App, context: &CallContext) -> Result<(), Error> {
    let due = order::due(&app.db.read(context), app.clock.now(), ROUND).await?;
    for id in due {
        let closed = app.db.write(context, move |tx| {
            Box::pin(async move {
                let row = order_in(tx, id).await?;
                close(tx, row, Event::Expire, "EXPIRED").await.map(drop)
            })
        });
        match closed.await {
            // Somebody else was quicker, or a parcel is being dispensed: the next round looks again.
            Ok(()) | Err(Error::Order(_) | Error::Store(caremesh_db::Error::Stale { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
