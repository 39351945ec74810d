//! What happens to an order across services, as processes: reserve, close, dispense, reprice. Each step may run again with
//! the same request id; what it does locally it does in a transaction of its own, never while it calls another service.

mod close;
mod dispense;
mod fills;
mod money;
mod reprice;
mod reserve;

use std::sync::Arc;

use caremesh_db::Tx;
use caremesh_db::process::{Flow, StepCall, StepError};
use caremesh_kernel::{Money, OrderId, ParcelId, PersonId, PharmacistId};
use caremesh_mesh::CallContext;
use caremesh_proto::policy::v1::BalanceConflict;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{order_in, save};
use crate::app::{App, Error};
use crate::clients::{About, Billed, CallError};
use crate::domain::order::{Entry, Order, OrderLine};
use crate::store::order::{self, Row};

/// Sets benefit and own share aside.
pub(crate) const RESERVE: &str = "order_reserve";
/// Gives both back.
pub(crate) const CLOSE: &str = "order_close";
/// Captures both for a parcel and lets it go.
pub(crate) const DISPENSE: &str = "order_dispense";
/// Prices what is kept anew.
pub(crate) const REPRICE: &str = "order_reprice";

/// Every kind, for the runner.
#[must_use]
pub(crate) fn all(app: &App) -> Vec<Arc<dyn Flow>> {
    vec![
        Arc::new(reserve::Reserve(app.clone())),
        Arc::new(close::Close(app.clone())),
        Arc::new(dispense::Dispense(app.clone())),
        Arc::new(reprice::Reprice(app.clone())),
    ]
}

/// What a process carries: ids, nothing personal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Data {
    order: OrderId,
    parcel: Option<ParcelId>,
    /// Who hands out; none but for a parcel that is dispensed.
    #[serde(default)]
    pharmacist: Option<PharmacistId>,
}

/// What a process about an order, and a parcel of it, carries.
pub(super) fn data(order: OrderId, parcel: Option<ParcelId>) -> Vec<u8> {
    bytes_of(Data { order, parcel, pharmacist: None })
}

/// What the process of a parcel that is dispensed carries.
pub(super) fn dispensing(order: OrderId, parcel: ParcelId, by: PharmacistId) -> Vec<u8> {
    bytes_of(Data { order, parcel: Some(parcel), pharmacist: Some(by) })
}

fn bytes_of(data: Data) -> Vec<u8> {
    // Ids: serde_json has nothing to refuse.
    serde_json::to_vec(&data).unwrap_or_default()
}

fn data_of(call: &StepCall) -> Result<Data, StepError> {
    serde_json::from_slice(&call.data).map_err(|_| StepError::GiveUp("DATA_UNREADABLE"))
}

fn parcel_of(call: &StepCall) -> Result<(OrderId, ParcelId), StepError> {
    let Data { order, parcel, .. } = data_of(call)?;
    Ok((order, parcel.ok_or(StepError::GiveUp("DATA_UNREADABLE"))?))
}

impl App {
    /// The order of a process. Services see every record of the processes that are theirs.
    async fn order_of(&self, context: &CallContext, id: OrderId) -> Result<Row, StepError> {
        let found = order::find_unscoped(&self.db.read(context), id).await;
        found.map_err(|_| StepError::Retry("STORE"))?.ok_or(StepError::GiveUp("ORDER_UNKNOWN"))
    }

    /// Changes an order in a transaction of its own. `change` says what becomes of it; none: nothing is to be done, because
    /// an attempt before has done it.
    async fn change<F>(&self, context: &CallContext, id: OrderId, change: F) -> Result<(), StepError>
    where
        F: for<'t> Fn(&'t Tx, Order) -> BoxFuture<'t, Result<Option<(Order, Vec<Entry>)>, Error>>
            + Send
            + Sync
            + 'static,
    {
        let change = Arc::new(change);
        let changed = self.db.write(context, move |tx| {
            let change = Arc::clone(&change);
            Box::pin(async move {
                let row = order_in(tx, id).await?;
                if let Some((order, entries)) = change(tx, row.order.clone()).await? {
                    save(tx, order, row, &entries)?;
                }
                Ok::<_, Error>(())
            })
        });
        changed.await.map_err(step_error)
    }
}

/// What a failed transaction means for a step: the store may recover; what the rules refuse stays refused.
fn step_error(error: Error) -> StepError {
    match error {
        Error::Store(_) | Error::Call(_) => StepError::Retry("STORE"),
        Error::Stock(_) => StepError::GiveUp("STOCK"),
        _ => StepError::GiveUp("ORDER_STATE"),
    }
}

/// What svc-policy did not answer may be answered later; what it refused stays refused.
fn call_error(error: CallError) -> StepError {
    match error {
        CallError::Unavailable => StepError::Retry("POLICY_DOWN"),
        CallError::Unreadable => StepError::GiveUp("UNREADABLE"),
        CallError::Refused(_) => StepError::GiveUp("POLICY_REFUSED"),
    }
}

/// Whether svc-policy refused for this reason.
fn refused(error: &CallError, reasons: &[&str]) -> bool {
    matches!(error, CallError::Refused(answer) if reasons.contains(&answer.reason.as_str()))
}

/// The accounts' versions as they are now, out of the refusal of a stale one.
fn fresh_versions(error: &CallError) -> Option<Vec<(String, i64)>> {
    let CallError::Refused(answer) = error else { return None };
    let conflict: BalanceConflict = answer.detail("caremesh.policy.v1.BalanceConflict")?;
    Some(conflict.balances.into_iter().map(|balance| (balance.account_id, balance.version)).collect())
}

/// Under which membership an order is insured, as svc-policy asks for it; none for who pays alone.
fn about(order: &Order) -> Option<About> {
    Some(About {
        order: order.id,
        event: order.event,
        member: order.member?,
        date: order.event_date,
        episode: order.episode,
    })
}

/// So many units of a line, to be priced.
fn billed(order: &Order, line: &OrderLine, units: i64) -> Billed {
    Billed { sequence: line.sequence, list: Money::new(order.currency, line.list_of(units)) }
}

/// The step in the name of the patient: data for the trail, never authority.
fn for_patient(call: &StepCall, patient: PersonId) -> CallContext {
    call.context.with_on_behalf_of(Some(patient)).asking_for(caremesh_mesh::policy::Purpose::Payment)
}
