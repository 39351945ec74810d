//! The own share at the payment provider, in the words of a step. Keys depend on order and movement, never on the attempt.

use caremesh_db::process::StepError;
use caremesh_kernel::{Money, Timestamp};
use caremesh_mesh::CallContext;
use caremesh_mesh::port::payment::{PaymentError, PaymentRefusal, Source};

use super::super::source_field;
use crate::app::App;
use crate::domain::order::{Method, Order};
use crate::store::order::Row;

/// How long a provider that has not decided is left alone, milliseconds.
const PAUSE_MS: i64 = 2_000;

/// When a provider that has not decided is asked again.
pub(super) fn later(now: Timestamp) -> Timestamp {
    now.plus_ms(PAUSE_MS)
}

/// What a provider's answer means for a step.
pub(super) fn step_error(error: PaymentError) -> StepError {
    match error {
        PaymentError::Unavailable => StepError::Retry("PAYMENT_PROVIDER_DOWN"),
        PaymentError::Pending => StepError::Retry("PAYMENT_PENDING"),
        PaymentError::Declined => StepError::GiveUp("PAYMENT_DECLINED"),
        PaymentError::Refused(_) => StepError::GiveUp("PAYMENT_REFUSED"),
    }
}

impl App {
    /// Sets the own share aside.
    pub(super) async fn authorise(&self, context: &CallContext, row: &Row) -> Result<(), PaymentError> {
        let order = &row.order;
        let source = self.source(context, row).await?;
        let amount = Money::new(order.currency, order.total().member());
        self.payments.authorise(&order.id.to_string(), amount, &source).await
    }

    async fn source(&self, context: &CallContext, row: &Row) -> Result<Source, PaymentError> {
        let key = self.keys.key(context, row.order.patient).await.map_err(|_| PaymentError::Unavailable)?;
        let sealed = row.source_sealed.as_deref().ok_or(PaymentError::Declined)?;
        let opened = key.open(source_field(&row.order.id.to_string()), sealed);
        let plain = opened.map_err(|_| PaymentError::Declined)?;
        Ok(Source::from(String::from_utf8_lossy(&plain).into_owned()))
    }

    /// Takes a part of it. Cash is taken at the door, not here.
    pub(super) async fn take(&self, order: &Order, key: &str, minor: i64) -> Result<(), StepError> {
        if order.method == Method::Cash || minor == 0 {
            return Ok(());
        }
        let amount = Money::new(order.currency, minor);
        self.payments.capture(&order.id.to_string(), key, amount).await.map_err(step_error)
    }

    /// Gives a part of what was taken back to its source; cash over the counter.
    pub(super) async fn give(&self, order: &Order, key: &str, minor: i64) -> Result<(), StepError> {
        if order.method == Method::Cash || minor == 0 {
            return Ok(());
        }
        let amount = Money::new(order.currency, minor);
        self.payments.refund(&order.id.to_string(), key, amount).await.map_err(step_error)
    }

    /// Lets go of what is set aside and not taken. What the provider does not know is not set aside.
    pub(super) async fn let_go(&self, order: &Order) -> Result<(), StepError> {
        if order.method == Method::Cash {
            return Ok(());
        }
        match self.payments.void(&order.id.to_string()).await {
            Ok(()) | Err(PaymentError::Refused(PaymentRefusal::Unknown)) => Ok(()),
            // A void is never declined for good: it is asked for until it is done.
            Err(_) => Err(StepError::Retry("PAYMENT_PROVIDER_DOWN")),
        }
    }
}
