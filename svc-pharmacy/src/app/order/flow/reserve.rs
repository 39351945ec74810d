//! After a placing: benefit is held, the own share set aside, and the order confirmed. What cannot be had is given up, and
//! everything before it given back exactly once, the stock last.

use async_trait::async_trait;
use caremesh_db::process::{Flow, Next, StepCall, StepDone, StepError};
use caremesh_kernel::Uuid;
use caremesh_mesh::CallContext;
use caremesh_mesh::port::payment::PaymentError;

use super::super::cancel::release_stock;
use super::{about, call_error, data_of, for_patient, money, refused};
use crate::app::{App, Error};
use crate::clients::{Billed, Movement};
use crate::domain::order::{Event, Method, Order, OrderState, Paid};
use crate::store::order::Row;

/// The flow.
pub(super) struct Reserve(pub(super) App);

/// Refusals after which the order is priced again: somebody else was quicker.
const PRICE_AGAIN: [&str; 2] = ["BALANCE_CHANGED", "BENEFIT_EXHAUSTED"];

#[async_trait]
impl Flow for Reserve {
    fn kind(&self) -> &'static str {
        super::RESERVE
    }

    fn steps(&self) -> &'static [&'static str] {
        &["hold_benefit", "authorise_payment", "confirm"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let row = self.0.order_of(&call.context, data_of(call)?.order).await?;
        let waits = row.order.state == OrderState::AwaitingVerification && call.name == "confirm";
        if !waits && !matches!(row.order.state, OrderState::Reserving | OrderState::AwaitingPayment) {
            return already(&row.order);
        }
        let context = for_patient(call, row.order.patient);
        match call.name {
            "hold_benefit" => self.hold(call, &context, &row).await,
            "authorise_payment" => self.authorise(call, &context, &row).await,
            _ => self.confirm(call, &row).await,
        }
    }

    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let row = self.0.order_of(&call.context, data_of(call)?.order).await?;
        let context = for_patient(call, row.order.patient);
        match call.name {
            "hold_benefit" => {
                self.0.release_benefit(call, &context, &row.order).await?;
                self.give_up(call, &row.order).await?;
            }
            "authorise_payment" => self.0.let_go(&row.order).await?,
            // The state is taken back last, with the stock: until then nobody may order the same anew.
            _ => {}
        }
        Ok(StepDone::forward())
    }
}

/// A step that is repeated after its order went on has nothing to do; one of an order that was closed has to give way.
fn already(order: &Order) -> Result<StepDone, StepError> {
    if matches!(order.state, OrderState::Cancelled | OrderState::Expired) {
        Err(StepError::GiveUp("CLOSED"))
    } else {
        Ok(StepDone::forward())
    }
}

impl Reserve {
    async fn hold(&self, call: &StepCall, context: &CallContext, row: &Row) -> Result<StepDone, StepError> {
        let order = &row.order;
        let Some(about) = about(order).filter(|_| !order.benefit.priced.legs.is_empty()) else {
            return Ok(StepDone::forward());
        };
        let priced = order.benefit.priced.clone();
        let versions = priced.versions.clone();
        let movement =
            Movement::Hold { legs: priced.legs, grants: priced.grants, part: 0, until: order.reserved_until };
        let posted =
            self.0.policy.post_order(context, call.request_id, &about, 0, &[movement], &versions).await;
        match posted {
            Ok(posted) => {
                let made = posted.posting.unwrap_or_default().instructions;
                let hold = made.into_iter().map(|made| made.hold_id).find(|id| !id.is_empty());
                self.remember_hold(call, order, hold).await
            }
            Err(error) if refused(&error, &PRICE_AGAIN) => self.price_again(call, context, order).await,
            Err(error) => Err(call_error(error)),
        }
    }

    async fn remember_hold(
        &self,
        call: &StepCall,
        order: &Order,
        hold: Option<String>,
    ) -> Result<StepDone, StepError> {
        let hold = hold.ok_or(StepError::GiveUp("HOLD_MISSING"))?;
        let change = self.0.change(&call.context, order.id, move |_, mut order| {
            let known = order.benefit.hold.as_deref() == Some(&hold);
            order.benefit.hold = Some(hold.clone());
            Box::pin(async move { Ok((!known).then_some((order, Vec::new()))) })
        });
        change.await.map(|()| StepDone::forward())
    }

    /// On fresh balances, under a new revision and so a new request id. The member never pays more than agreed.
    async fn price_again(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
    ) -> Result<StepDone, StepError> {
        let about = about(order).ok_or(StepError::GiveUp("COVER_GONE"))?;
        let lines: Vec<Billed> =
            order.lines.iter().map(|line| super::billed(order, line, line.quantity)).collect();
        let priced = self.0.policy.price_order(context, &about, &lines, None).await.map_err(call_error)?;
        if !order.clone().takes(priced.clone()) {
            return Err(StepError::GiveUp("PRICE_CHANGED"));
        }
        let change = self.0.change(&call.context, order.id, move |_, mut order| {
            let fits = order.takes(priced.clone());
            Box::pin(async move { Ok(fits.then_some((order, Vec::new()))) })
        });
        change.await?;
        Ok(StepDone { data: None, next: Next::Redo { from_step: call.step } })
    }

    async fn authorise(
        &self,
        call: &StepCall,
        context: &CallContext,
        row: &Row,
    ) -> Result<StepDone, StepError> {
        let order = &row.order;
        let member = order.total().member();
        if member > 0 && order.method == Method::Card {
            match self.0.authorise(context, row).await {
                Ok(()) => {}
                Err(PaymentError::Pending) => return self.wait(call, order).await,
                Err(error) => return Err(money::step_error(error)),
            }
        }
        let change = self.0.change(&call.context, order.id, move |_, mut order| {
            let known = order.payment.is_some() || member == 0;
            order.payment = Some(Paid { authorised: member, captured: 0, refunded: 0, over: false });
            Box::pin(async move { Ok((!known).then_some((order, Vec::new()))) })
        });
        change.await.map(|()| StepDone::forward())
    }

    async fn wait(&self, call: &StepCall, order: &Order) -> Result<StepDone, StepError> {
        if call.now >= order.reserved_until {
            return Err(StepError::GiveUp("EXPIRED"));
        }
        let change = self.0.change(&call.context, order.id, |_, mut order| {
            let known = order.state == OrderState::AwaitingPayment;
            Box::pin(async move {
                order.state =
                    order.state.after(Event::PaymentPending).map_err(crate::domain::order::Refusal::from)?;
                Ok((!known).then_some((order, Vec::new())))
            })
        });
        change.await?;
        Ok(StepDone { data: None, next: Next::WaitUntil(money::later(call.now)) })
    }

    /// Confirms what has its verified items; what waits for a paper is looked at again until it is verified or refused.
    async fn confirm(&self, call: &StepCall, row: &Row) -> Result<StepDone, StepError> {
        let found = if row.order.needs_verification() {
            self.0.verified_lines(&call.context, &row.order).await
        } else {
            Ok(Some(row.order.lines.clone()))
        };
        let lines = match found {
            Ok(Some(lines)) => lines,
            Ok(None) => return self.wait_for_paper(call, &row.order).await,
            Err(Error::Store(_) | Error::Call(_)) => return Err(StepError::Retry("STORE")),
            Err(_) => return Err(StepError::GiveUp("PRESCRIPTION_REFUSED")),
        };
        let change = self.0.change(&call.context, row.order.id, move |_, mut order| {
            let scripts: Vec<_> = lines.iter().map(|line| line.script).collect();
            Box::pin(async move {
                order.lines.iter_mut().zip(scripts).for_each(|(line, script)| line.script = script);
                let waited = order.state == OrderState::AwaitingVerification;
                let event = if waited { Event::Verified } else { Event::Reserved };
                order.state = order.state.after(event).map_err(crate::domain::order::Refusal::from)?;
                Ok(Some((order, Vec::new())))
            })
        });
        change.await.map(|()| StepDone::forward())
    }

    async fn wait_for_paper(&self, call: &StepCall, order: &Order) -> Result<StepDone, StepError> {
        if call.now >= order.reserved_until {
            return Err(StepError::GiveUp("EXPIRED"));
        }
        let change = self.0.change(&call.context, order.id, |_, mut order| {
            Box::pin(async move {
                if order.state == OrderState::AwaitingVerification {
                    return Ok(None);
                }
                let after = order.state.after(Event::ReservedUnverified);
                order.state = after.map_err(crate::domain::order::Refusal::from)?;
                Ok(Some((order, Vec::new())))
            })
        });
        change.await?;
        Ok(StepDone { data: None, next: Next::WaitUntil(money::later(call.now)) })
    }

    /// The last compensation: the order is over and its stock is free again.
    async fn give_up(&self, call: &StepCall, order: &Order) -> Result<(), StepError> {
        let change = self.0.change(&call.context, order.id, |tx, order| {
            Box::pin(async move {
                if order.state.is_closed() {
                    return Ok(None);
                }
                let order = order.cancel(Event::Cancel, "NOT_RESERVED")?;
                release_stock(tx, &order).await?;
                Ok(Some((order, Vec::new())))
            })
        });
        change.await
    }
}

impl App {
    /// Gives every hold back, whether or not the order remembers having it. Twice is once.
    pub(super) async fn release_benefit(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
    ) -> Result<(), StepError> {
        let Some(about) = about(order) else { return Ok(()) };
        for (place, hold) in self.holds_of(context, order).await?.into_iter().enumerate() {
            let request_id = Uuid::new_v5(&call.request_id, place.to_string().as_bytes());
            let release = [Movement::Release { hold }];
            match self.policy.post_order(context, request_id, &about, 0, &release, &[]).await {
                Ok(_) => {}
                Err(error) if refused(&error, &["HOLD_CLOSED", "HOLD_EXPIRED"]) => {}
                Err(_) => return Err(StepError::Retry("RELEASE_REFUSED")),
            }
        }
        Ok(())
    }

    async fn holds_of(&self, context: &CallContext, order: &Order) -> Result<Vec<String>, StepError> {
        let known: Vec<String> = order
            .benefit
            .hold
            .iter()
            .chain(order.parcels.iter().filter_map(|p| p.hold.as_ref()))
            .cloned()
            .collect();
        let (true, Some(policy), Some(about)) = (known.is_empty(), order.policy, about(order)) else {
            return Ok(known);
        };
        // A posting whose answer was lost: the ledger remembers it.
        self.policy.holds_of(context, &policy.to_string(), &about).await.map_err(call_error)
    }
}
