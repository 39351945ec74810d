//! A premium that was received: exactly the next instalment, once per payment reference, whatever comes first, the
//! purchase or the payment provider's message.

use caremesh_kernel::{Money, ReceiptId, Timestamp, Uuid};

use super::quote::{Quote, QuoteState};
use super::state::PolicyState;

/// Namespace of the ids of receipts. Never to change.
const RECEIPT_NAMESPACE: Uuid = Uuid::from_u128(0x92b6_4f1c_0d3e_4b7a_a5c8_61e9_2d70_f4a3);

/// A payment as it was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Keyed hash of the payment provider's reference: one payment, one reference.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When the money was received.
    pub received: Timestamp,
}

/// A payment that was booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Follows from the reference.
    pub id: ReceiptId,
    /// Which instalment it pays.
    pub number: u32,
    /// The policy's next state, when the quote was bought and this payment changes it.
    pub activates: Option<PolicyState>,
}

/// Why a payment is not booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRefusal {
    /// Another currency than the premium's.
    #[error("the payment is in another currency")]
    OtherCurrency,
    /// Not the next instalment to the minor unit, or nothing is due any more.
    #[error("the payment is not the amount that is due")]
    NotWhatIsDue {
        /// What is due, minor units; 0: nothing.
        due: i64,
    },
    /// The money came after the grace days were over.
    #[error("the policy lapsed before the payment")]
    Lapsed,
    /// The money came after the quote's time was over.
    #[error("the quote expired before the payment")]
    Expired,
    /// The money would have been received in the future.
    #[error("the payment lies in the future")]
    InTheFuture,
}

/// Books a payment of a quote of which `paid` instalments are paid. `state` is the policy's, once the quote was bought.
///
/// # Errors
/// [`PaymentRefusal`].
pub fn receive(
    quote: &Quote,
    paid: u32,
    state: Option<PolicyState>,
    payment: &Payment,
    now: Timestamp,
) -> Result<Receipt, PaymentRefusal> {
    if payment.amount.currency != quote.sum_insured.currency {
        return Err(PaymentRefusal::OtherCurrency);
    }
    if payment.received > now {
        return Err(PaymentRefusal::InTheFuture);
    }
    let due = quote.premium.instalments.get(paid as usize);
    let due = due.ok_or(PaymentRefusal::NotWhatIsDue { due: 0 })?;
    if due.amount != payment.amount.minor {
        return Err(PaymentRefusal::NotWhatIsDue { due: due.amount });
    }
    let activates = activation(quote, paid, state, payment, now)?;
    let id = ReceiptId::derive(RECEIPT_NAMESPACE, &[&payment.reference]);
    Ok(Receipt { id, number: due.number, activates })
}

/// The first instalment decides whether there is cover at all; it must have come while the quote was good.
fn activation(
    quote: &Quote,
    paid: u32,
    state: Option<PolicyState>,
    payment: &Payment,
    now: Timestamp,
) -> Result<Option<PolicyState>, PaymentRefusal> {
    if paid > 0 {
        return Ok(None);
    }
    let Some(state) = state else {
        let expired = quote.state(payment.received) == QuoteState::Expired;
        return if expired { Err(PaymentRefusal::Expired) } else { Ok(None) };
    };
    let (next, activated) = state.paid(payment.received, now).map_err(|_| PaymentRefusal::Expired)?;
    Ok(activated.then_some(next))
}
