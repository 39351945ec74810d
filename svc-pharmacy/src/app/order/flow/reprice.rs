//! What is kept after a return, a failed delivery or a cancelled rest is priced anew, on the balances before the order. One
//! posting carries what goes back and what is captured instead; then money follows, then the record for the claim.

use async_trait::async_trait;
use caremesh_db::process::{Flow, StepCall, StepDone, StepError};
use caremesh_kernel::{DispenseId, OrderId};
use caremesh_mesh::CallContext;
use serde::{Deserialize, Serialize};

use super::{about, billed, call_error, data_of, for_patient};
use crate::app::App;
use crate::clients::{Billed, Movement};
use crate::domain::order::{Capture, Entry, Leg, Method, Order, Paid, Priced, Shares};

/// The flow.
pub(super) struct Reprice(pub(super) App);

/// What a process carries from its first step on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settled {
    order: OrderId,
    /// Per line, for what is kept.
    shares: Vec<(u32, Shares)>,
    /// What was captured for it.
    capture: Option<Capture>,
}

impl Settled {
    fn of(call: &StepCall) -> Result<Self, StepError> {
        serde_json::from_slice(&call.data).map_err(|_| StepError::GiveUp("DATA_UNREADABLE"))
    }

    fn total(&self) -> Shares {
        self.shares.iter().fold(Shares::default(), |sum, (_, shares)| sum.plus(*shares))
    }
}

#[async_trait]
impl Flow for Reprice {
    fn kind(&self) -> &'static str {
        super::REPRICE
    }

    fn steps(&self) -> &'static [&'static str] {
        &["reprice_benefit", "settle_money", "record"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let row = self.0.order_of(&call.context, data_of(call)?.order).await?;
        if !row.order.closing {
            return Ok(StepDone::forward());
        }
        let context = for_patient(call, row.order.patient);
        match call.name {
            "reprice_benefit" => self.reprice(call, &context, &row.order).await,
            "settle_money" => self.settle(call, &row.order).await,
            _ => self.record(call, &row.order).await,
        }
    }

    /// What came back cannot be sent out again: somebody has to look.
    async fn undo(&self, _: &StepCall) -> Result<StepDone, StepError> {
        Err(StepError::GiveUp("NOTHING_TO_UNDO"))
    }
}

impl Reprice {
    async fn reprice(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
    ) -> Result<StepDone, StepError> {
        let kept: Vec<_> = order.lines.iter().filter(|line| line.kept() > 0).collect();
        let lines: Vec<Billed> = kept.iter().map(|line| billed(order, line, line.kept())).collect();
        let priced = self.price(context, order, &lines).await?;
        let share = |line: &Billed| {
            let found = priced.lines.iter().find(|own| own.sequence == line.sequence).map(|own| own.shares);
            (line.sequence, found.unwrap_or(Shares { list: line.list.minor, plan: 0, discount: 0 }))
        };
        let shares = lines.iter().map(share).collect();
        let capture = self.post(call, context, order, &priced, lines.is_empty()).await?;
        let settled = Settled { order: order.id, shares, capture };
        let data = serde_json::to_vec(&settled).map_err(|_| StepError::GiveUp("DATA_UNREADABLE"))?;
        Ok(StepDone::with(data))
    }

    /// On the snapshot that the order was priced from: what happened since decides nothing.
    async fn price(
        &self,
        context: &CallContext,
        order: &Order,
        lines: &[Billed],
    ) -> Result<Priced, StepError> {
        let snapshot = order.benefit.priced.snapshot.as_str();
        let Some(about) = about(order).filter(|_| !lines.is_empty() && !snapshot.is_empty()) else {
            return Ok(Priced::default());
        };
        self.0.policy.price_order(context, &about, lines, Some(snapshot)).await.map_err(call_error)
    }

    async fn post(
        &self,
        call: &StepCall,
        context: &CallContext,
        order: &Order,
        priced: &Priced,
        nothing: bool,
    ) -> Result<Option<Capture>, StepError> {
        let movements = movements(order, priced, nothing);
        if movements.is_empty() {
            return Ok(None);
        }
        let revision = order.revision + 1;
        let posted = self.0.post_fresh(call, context, order, revision, &movements, &priced.versions).await;
        // A repricing is never given up: the goods are back, so the benefit must follow.
        let posting = posted.map_err(|_| StepError::Retry("REPRICE_REFUSED"))?.posting_id;
        let legs = kept_legs(priced, nothing);
        Ok((!legs.is_empty()).then_some(Capture { posting, parcel: None, legs }))
    }

    async fn settle(&self, call: &StepCall, order: &Order) -> Result<StepDone, StepError> {
        let due = Settled::of(call)?.total().member() - kept_money(order);
        let key = call.process.to_string();
        if due < 0 {
            self.0.give(order, &key, -due).await?;
        } else {
            self.0.take(order, &key, due).await?;
        }
        self.0.let_go(order).await?;
        Ok(StepDone::forward())
    }

    async fn record(&self, call: &StepCall, order: &Order) -> Result<StepDone, StepError> {
        let settled = Settled::of(call)?;
        let record = DispenseId::derive(call.process.uuid(), &["record"]);
        let change = self.0.change(&call.context, order.id, move |tx, order| {
            let settled = settled.clone();
            Box::pin(async move {
                if !order.closing {
                    return Ok(None);
                }
                let entries = entries(&order, &settled);
                let paid = order.payment.map(|paid| after(paid, &order, &settled));
                let mut order = order.repriced(&settled.shares, settled.capture, record, tx.now())?;
                order.payment = paid;
                Ok(Some((order, entries)))
            })
        });
        change.await.map(|()| StepDone::forward())
    }
}

/// Everything that was captured goes back, what is still held is released, and what is kept is captured.
fn movements(order: &Order, priced: &Priced, nothing: bool) -> Vec<Movement> {
    let reverse = |(part, made): (usize, &Capture)| Movement::Reverse {
        posting: made.posting.clone(),
        legs: made.legs.iter().filter(|leg| nothing || !leg.counts).cloned().collect(),
        part: i32::try_from(part).unwrap_or(i32::MAX),
        nothing_happened: nothing,
    };
    let mut movements: Vec<Movement> = order.benefit.captures.iter().enumerate().map(reverse).collect();
    if order.state == crate::domain::order::OrderState::PartlyShipped {
        let held =
            order.benefit.hold.iter().chain(order.parcels.iter().filter_map(|parcel| parcel.hold.as_ref()));
        movements.extend(held.map(|hold| Movement::Release { hold: hold.clone() }));
    }
    let legs = kept_legs(priced, nothing);
    if !legs.is_empty() {
        movements.push(Movement::Direct { legs, part: 0 });
    }
    movements
}

/// A fill that happened stays counted, so counts neither go back nor are captured again.
fn kept_legs(priced: &Priced, nothing: bool) -> Vec<Leg> {
    if nothing {
        return Vec::new();
    }
    priced.legs.iter().filter(|leg| !leg.counts).cloned().collect()
}

fn kept_money(order: &Order) -> i64 {
    order.payment.map_or(0, |paid| paid.captured - paid.refunded)
}

/// Cash that is due and was not paid at the door stays open; everything else was taken or given.
fn moved(order: &Order, settled: &Settled) -> i64 {
    let due = settled.total().member() - kept_money(order);
    if order.method == Method::Cash { due.min(0) } else { due }
}

fn after(paid: Paid, order: &Order, settled: &Settled) -> Paid {
    let moved = moved(order, settled);
    Paid {
        captured: paid.captured + moved.max(0),
        refunded: paid.refunded - moved.min(0),
        over: true,
        ..paid
    }
}

fn entries(order: &Order, settled: &Settled) -> Vec<Entry> {
    let revision = order.revision + 1;
    let difference = settled.total().minus(order.sold());
    vec![
        Entry::sale(format!("repriced/{revision}"), difference),
        Entry::paid(format!("repaid/{revision}"), moved(order, settled)),
    ]
}
