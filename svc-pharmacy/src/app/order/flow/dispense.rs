//! A parcel that is dispensed: benefit and own share are captured for it, then its stock is handed out and it leaves. What
//! cannot be captured, or was recalled meanwhile, stays in the branch, and what was captured is given back.

use async_trait::async_trait;
use caremesh_db::process::{Flow, StepCall, StepDone, StepError};
use caremesh_kernel::DispenseId;
use caremesh_mesh::CallContext;
use caremesh_proto::policy::v1::{Posting, PostingKind};

use super::{about, call_error, for_patient, parcel_of, refused};
use crate::app::App;
use crate::clients::{CallError, Movement};
use crate::domain::order::{Capture, Entry, Leg, Method, Order, Parcel, ParcelState, Tried, part_legs};
use crate::store::stock;

/// The flow.
pub(super) struct Dispense(pub(super) App);

#[async_trait]
impl Flow for Dispense {
    fn kind(&self) -> &'static str {
        super::DISPENSE
    }

    fn steps(&self) -> &'static [&'static str] {
        &["capture_benefit", "capture_payment", "let_go"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let (id, parcel) = parcel_of(call)?;
        let row = self.0.order_of(&call.context, id).await?;
        let parcel = row.order.parcel(parcel).map_err(|_| StepError::GiveUp("PARCEL_UNKNOWN"))?;
        if parcel.state != ParcelState::Dispensing {
            return Ok(StepDone::forward());
        }
        let context = for_patient(call, row.order.patient);
        match call.name {
            "capture_benefit" => self.capture(call, &context, &row.order, parcel).await,
            "capture_payment" => {
                self.0.take(&row.order, &money_key(call, parcel), parcel.shares.member()).await?;
                Ok(StepDone::forward())
            }
            _ => self.finish(call, &row.order, parcel).await,
        }
    }

    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let (id, parcel) = parcel_of(call)?;
        let row = self.0.order_of(&call.context, id).await?;
        let parcel = row.order.parcel(parcel).map_err(|_| StepError::GiveUp("PARCEL_UNKNOWN"))?;
        let context = for_patient(call, row.order.patient);
        match call.name {
            "capture_benefit" => self.reverse(call, &context, &row.order, parcel).await?,
            "capture_payment" => self.give_back(call, &row.order, parcel).await?,
            _ => {}
        }
        Ok(StepDone::forward())
    }
}

/// Movements of money for a parcel: the same in every attempt, others for a parcel that is dispensed again.
fn money_key(call: &StepCall, parcel: &Parcel) -> String {
    format!("{}/{}", parcel.id, call.process)
}

fn legs_of(order: &Order, parcel: &Parcel) -> Vec<Leg> {
    let others = order.benefit.captures.iter().filter(|made| made.parcel != Some(parcel.id));
    let is_first = others.count() == 0;
    part_legs(&order.benefit.priced.legs, &parcel.parts, is_first)
}

/// From which hold the parcel is captured.
fn hold_of(order: &Order, parcel: &Parcel) -> Option<String> {
    parcel.hold.clone().or_else(|| order.benefit.hold.clone())
}

fn capture_of<'o>(order: &'o Order, parcel: &Parcel) -> Option<&'o Capture> {
    order.benefit.captures.iter().find(|made| made.parcel == Some(parcel.id))
}

impl Dispense {
    async fn capture(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
        parcel: &Parcel,
    ) -> Result<StepDone, StepError> {
        let legs = legs_of(order, parcel);
        let Some(hold) = hold_of(order, parcel).filter(|_| !legs.is_empty()) else {
            return Ok(StepDone::forward());
        };
        if capture_of(order, parcel).is_some() {
            return Ok(StepDone::forward());
        }
        let capture = Movement::Capture { hold, legs: legs.clone(), part: parcel.part(), last: false };
        let versions = &order.benefit.priced.versions;
        let posted = self.0.post_fresh(call, context, order, 0, &[capture], versions).await;
        let posting = posted.map_err(call_error)?.posting_id;
        let made = Capture { posting, parcel: Some(parcel.id), legs };
        let change = self.0.change(&call.context, order.id, move |_, mut order| {
            let known = order.benefit.captures.iter().any(|capture| capture.posting == made.posting);
            order.benefit.captures.push(made.clone());
            Box::pin(async move { Ok((!known).then_some((order, Vec::new()))) })
        });
        change.await.map(|()| StepDone::forward())
    }

    async fn finish(&self, call: &StepCall, order: &Order, parcel: &Parcel) -> Result<StepDone, StepError> {
        let (id, order_id) = (parcel.id, order.id);
        let branch_day = self.0.day_at(&call.context, order, call.now).await;
        let today = branch_day.map_err(|_| StepError::Retry("STORE"))?;
        let record = DispenseId::derive(call.process.uuid(), &["record"]);
        let fills = self.0.fills(call, order, parcel).await?;
        let change = self.0.change(&call.context, order_id, move |tx, order| {
            let fills = fills.clone();
            Box::pin(async move {
                let parcel = order.parcel(id)?.clone();
                if parcel.state != ParcelState::Dispensing {
                    return Ok(None);
                }
                let mut lines = parcel.lines.clone();
                lines.sort_unstable_by_key(|line| product_of(&order, line.sequence));
                for line in &lines {
                    let own = order.lines.iter().find(|own| own.sequence == line.sequence);
                    let Some(own) = own else { continue };
                    let lots = stock::consume(tx, own.reservation, line.quantity, today).await?;
                    fills.record(tx, line.sequence, lots, today).await?;
                }
                let entries = entries(&order, &parcel);
                let posting = capture_of(&order, &parcel).map(|made| made.posting.clone());
                let mut order = order.finish_dispense(id, record, posting, tx.now())?;
                if order.method == Method::Card
                    && let Some(paid) = &mut order.payment
                {
                    paid.captured += parcel.shares.member();
                }
                at_the_counter(&mut order, &parcel);
                Ok(Some((order, entries)))
            })
        });
        change.await.map(|()| StepDone::forward())
    }

    /// Gives what was captured back, and holds it anew in the same posting: the parcel may be dispensed later, and nobody
    /// takes the room between.
    async fn reverse(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
        parcel: &Parcel,
    ) -> Result<(), StepError> {
        if parcel.state != ParcelState::Dispensing {
            return Ok(());
        }
        let hold = match self.captured(context, order, parcel).await? {
            Some(made) => self.hold_again(call, context, order, parcel, made).await?,
            None => parcel.hold.clone(),
        };
        let id = parcel.id;
        let change = self.0.change(&call.context, order.id, move |_, order| {
            let hold = hold.clone();
            Box::pin(async move {
                if order.parcel(id)?.state != ParcelState::Dispensing {
                    return Ok(None);
                }
                let mut order = order.undo_dispense(id)?;
                order.benefit.captures.retain(|made| made.parcel != Some(id));
                order
                    .parcels
                    .iter_mut()
                    .filter(|own| own.id == id)
                    .for_each(|own| own.hold.clone_from(&hold));
                Ok(Some((order, Vec::new())))
            })
        });
        change.await
    }

    async fn hold_again(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
        parcel: &Parcel,
        made: Capture,
    ) -> Result<Option<String>, StepError> {
        let reverse = Movement::Reverse {
            posting: made.posting,
            legs: made.legs.clone(),
            part: parcel.part(),
            nothing_happened: true,
        };
        let hold = Movement::Hold {
            legs: made.legs,
            grants: Vec::new(),
            part: parcel.part(),
            until: order.reserved_until,
        };
        let versions = &order.benefit.priced.versions;
        let posted = self.0.post_fresh(call, context, order, 0, &[reverse, hold], versions).await;
        let posted = posted.map_err(|_| StepError::Retry("REVERSAL_REFUSED"))?;
        let held = posted.instructions.into_iter().filter(|made| made.kind() == PostingKind::Hold);
        Ok(held.map(|made| made.hold_id).next())
    }

    /// What was captured for the parcel: as the order remembers it, or, when the answer was lost, as the ledger does.
    async fn captured(
        &self,
        context: &CallContext,
        order: &Order,
        parcel: &Parcel,
    ) -> Result<Option<Capture>, StepError> {
        if let Some(made) = capture_of(order, parcel) {
            return Ok(Some(made.clone()));
        }
        let (Some(policy), Some(about)) = (order.policy, about(order)) else { return Ok(None) };
        let found = self.0.policy.capture_of(context, &policy.to_string(), &about, parcel.part()).await;
        let posting = found.map_err(call_error)?;
        Ok(posting.map(|posting| Capture { posting, parcel: Some(parcel.id), legs: legs_of(order, parcel) }))
    }

    async fn give_back(&self, call: &StepCall, order: &Order, parcel: &Parcel) -> Result<(), StepError> {
        if parcel.state != ParcelState::Dispensing {
            return Ok(());
        }
        let key = money_key(call, parcel);
        match self.0.give(order, &key, parcel.shares.member()).await {
            // It was never taken: there is nothing to give back.
            Err(StepError::GiveUp("PAYMENT_REFUSED")) => Ok(()),
            other => other,
        }
    }
}

fn product_of(order: &Order, sequence: u32) -> Option<caremesh_kernel::ProductId> {
    order.lines.iter().find(|line| line.sequence == sequence).map(|line| line.product)
}

/// The sale, and the card money that was taken for it.
fn entries(order: &Order, parcel: &Parcel) -> Vec<Entry> {
    let mut entries = vec![Entry::sale(format!("sale/{}", parcel.id), parcel.shares)];
    let at_counter = parcel.handover == Some(crate::domain::order::Handover::AtCounter);
    if order.method == Method::Card || at_counter {
        entries.push(Entry::paid(format!("paid/{}", parcel.id), parcel.shares.member()));
    }
    entries
}

/// Cash at the counter is paid with the handing over.
fn at_the_counter(order: &mut Order, parcel: &Parcel) {
    let at_counter = parcel.handover == Some(crate::domain::order::Handover::AtCounter);
    if let (Method::Cash, true, Some(paid)) = (order.method, at_counter, &mut order.payment) {
        paid.captured += parcel.shares.member();
    }
}

impl App {
    /// Posts with fresh versions when those at hand are stale: the legs stay, because they are a hold's own or go back to
    /// where they came from. A refused posting leaves its request id free. Fresh versions are written down before they are
    /// sent: a step that is repeated because its answer was lost sends the same again, not another body under the same id.
    pub(super) async fn post_fresh(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
        revision: i32,
        movements: &[Movement],
        versions: &[(String, i64)],
    ) -> Result<Posting, CallError> {
        let Some(about) = about(order) else { return Ok(Posting::default()) };
        let request_id = call.request_id.to_string();
        let tried = order.benefit.tried.as_ref().filter(|tried| tried.request_id == request_id);
        let mut versions = tried.map_or(versions, |tried| tried.versions.as_slice()).to_vec();
        for _ in 0..8 {
            let posted = self
                .policy
                .post_order(context, call.request_id, &about, revision, movements, &versions)
                .await;
            let error = match posted {
                Ok(posted) => return Ok(posted.posting.unwrap_or_default()),
                Err(error) => error,
            };
            match super::fresh_versions(&error).filter(|_| refused(&error, &["BALANCE_CHANGED"])) {
                Some(fresh) if !fresh.is_empty() => versions = merged(&versions, fresh),
                _ => return Err(error),
            }
            let tried = Tried { request_id: request_id.clone(), versions: versions.clone() };
            let written = self.change(&call.context, order.id, move |_, mut order| {
                order.benefit.tried = Some(tried.clone());
                Box::pin(async move { Ok(Some((order, Vec::new()))) })
            });
            written.await.map_err(|_| CallError::Unavailable)?;
        }
        Err(CallError::Unavailable)
    }
}

/// Only accounts that the posting touches are named: those it named before, at their fresh versions.
fn merged(known: &[(String, i64)], fresh: Vec<(String, i64)>) -> Vec<(String, i64)> {
    if known.is_empty() {
        return fresh;
    }
    let of = |id: &String| fresh.iter().find(|(other, _)| other == id).map(|(_, version)| *version);
    known.iter().map(|(id, version)| (id.clone(), of(id).unwrap_or(*version))).collect()
}
