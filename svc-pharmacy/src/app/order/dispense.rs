//! DispenseParcel: a registered pharmacist of the branch, licensed today, lets a packed parcel go. Stock is handed out here;
//! benefit and own share are captured by the process that this begins, and only then the parcel leaves.

use caremesh_db::process::NewProcess;
use caremesh_kernel::{OrderId, ParcelId, ProcessId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::{Shown, flow, order_in, save};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::{Handover, Order};

/// What is dispensed.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Of which order.
    pub order: OrderId,
    /// Which parcel.
    pub parcel: ParcelId,
    /// How it reaches the patient.
    pub handover: Handover,
}

/// Begins to dispense a parcel, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotRegistered`] and [`Error::Unlicensed`] (INV-R10); [`Error::Order`].
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
    let (_, branch) = app.pharmacist(context).await?;
    let found = app.order(context, input.order).await?;
    if branch.id != found.order.branch {
        return Err(Error::NotFound);
    }
    app.licensed_branch(context, branch.id).await?;
    let shown = app.shown_order(context, found.clone()).await?;
    let by =
        context.principal().person().map(|person| app.pharmacist_index(&person.key())).unwrap_or_default();
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let (shown, by) = (shown.clone(), by.clone());
        Box::pin(async move {
            let row = order_in(tx, input.order).await?;
            row.order.must_be_reserved(tx.now())?;
            let begun = row.order.clone().begin_dispense(input.parcel, input.handover, by)?;
            tx.start_process(&NewProcess {
                id: process_of(&begun, input.parcel, row.version),
                kind: flow::DISPENSE,
                first_time: tx.now(),
                data: flow::data(begun.id, Some(input.parcel)),
            });
            let row = save(tx, begun, row, &[])?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}

/// A parcel whose dispensing was undone may be dispensed again: by another process, with other request ids.
fn process_of(order: &Order, parcel: ParcelId, version: i64) -> ProcessId {
    ProcessId::derive(order.id.uuid(), &["dispense", &parcel.to_string(), &version.to_string()])
}
