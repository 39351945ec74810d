//! After a cancellation, or when time is up: benefit and own share are given back. Nothing of it can be refused for good, so
//! nothing is undone: a step is asked for until it is done.

use async_trait::async_trait;
use caremesh_db::process::{Flow, StepCall, StepDone, StepError};

use super::{data_of, for_patient};
use crate::app::App;
use crate::domain::order::Paid;

/// The flow.
pub(super) struct Close(pub(super) App);

#[async_trait]
impl Flow for Close {
    fn kind(&self) -> &'static str {
        super::CLOSE
    }

    fn steps(&self) -> &'static [&'static str] {
        &["release_benefit", "void_payment"]
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let row = self.0.order_of(&call.context, data_of(call)?.order).await?;
        let context = for_patient(call, row.order.patient);
        if call.name == "release_benefit" {
            self.0.release_benefit(call, &context, &row.order).await?;
            return Ok(StepDone::forward());
        }
        self.0.let_go(&row.order).await?;
        let change = self.0.change(&call.context, row.order.id, |_, mut order| {
            let open = order.payment.filter(|paid| !paid.over);
            order.payment = order.payment.map(|paid| Paid { over: true, ..paid });
            Box::pin(async move { Ok(open.map(|_| (order, Vec::new()))) })
        });
        change.await.map(|()| StepDone::forward())
    }

    async fn undo(&self, _: &StepCall) -> Result<StepDone, StepError> {
        Err(StepError::GiveUp("NOTHING_TO_UNDO"))
    }
}
