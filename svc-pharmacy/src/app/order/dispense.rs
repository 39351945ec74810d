//! DispenseParcel: a registered pharmacist of the branch, licensed today, lets a packed parcel go. Stock is handed out here;
//! benefit and own share are captured by the process that this begins, and only then the parcel leaves.

use caremesh_db::process::NewProcess;
use caremesh_kernel::{OrderId, ParcelId, ProcessId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::{Shown, flow, order_in, save};
use crate::app::change::{Before, Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::{Handover, Order, OrderLine, Script};

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
/// [`Error::NotFound`]; [`Error::NotRegistered`] and [`Error::Unlicensed`] (INV-R10); [`Error::Order`]; whatever forbids a
/// line on prescription today.
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
    let (pharmacist, branch) = app.pharmacist(context).await?;
    let found = app.order(context, input.order).await?;
    if branch.id != found.order.branch {
        return Err(Error::NotFound);
    }
    app.licensed_branch(context, branch.id).await?;
    let lines = in_parcel(&found.order, input.parcel);
    let before = Before::new(app.may_order(context, &found.order, &lines, &branch).await);
    app.touch_scripts(context, &found.order);
    let pharmacist = pharmacist.registration.pharmacist;
    let shown = app.shown_order(context, found.clone()).await?;
    let by =
        context.principal().person().map(|person| app.pharmacist_index(&person.key())).unwrap_or_default();
    app.once(context, once, Whose::Shown(found.order.patient), move |tx| {
        let (shown, by, before) = (shown.clone(), by.clone(), before.clone());
        Box::pin(async move {
            let row = order_in(tx, input.order).await?;
            row.order.must_be_reserved(tx.now())?;
            let begun = row.order.clone().begin_dispense(input.parcel, input.handover, by)?;
            before.get()?;
            tx.start_process(&NewProcess {
                id: process_of(&begun, input.parcel, row.version),
                kind: flow::DISPENSE,
                first_time: tx.now(),
                data: flow::dispensing(begun.id, input.parcel, pharmacist),
            });
            let row = save(tx, begun, row, &[])?;
            Ok(Done::of_order(row, shown))
        })
    })
    .await
}

/// The lines of a parcel, each with as much as is in it. What the patient agreed to at the placing is agreed.
fn in_parcel(order: &Order, parcel: ParcelId) -> Vec<OrderLine> {
    let lines = order.parcels.iter().filter(|own| own.id == parcel).flat_map(|own| &own.lines);
    let line = |packed: &crate::domain::order::ParcelLine| {
        let own = order.lines.iter().find(|own| own.sequence == packed.sequence)?;
        let script = own.script.map(|script| Script { consent: true, ..script });
        Some(OrderLine { quantity: packed.quantity, script, ..own.clone() })
    };
    lines.filter_map(line).collect()
}

/// A parcel whose dispensing was undone may be dispensed again: by another process, with other request ids.
fn process_of(order: &Order, parcel: ParcelId, version: i64) -> ProcessId {
    ProcessId::derive(order.id.uuid(), &["dispense", &parcel.to_string(), &version.to_string()])
}
