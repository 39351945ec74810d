//! The payment port: authorise, capture, refund, void at a payment provider. Every call carries a key; the same key again is
//! the same movement and never a second one. Must not know what is paid for.

mod local;
mod state;

use async_trait::async_trait;
use caremesh_kernel::Money;

pub use local::{Fault, LocalPayments};
pub use state::{Payment, PaymentRefusal, PaymentState};

/// Where the money comes from and, on a refund, goes back to: the provider's opaque name of a card or account. Secret.
pub type Source = secrecy::SecretString;

/// Why a provider did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The answer is not known: ask again with the same key.
    #[error("the payment provider did not answer")]
    Unavailable,
    /// It has not decided yet: ask again later with the same key.
    #[error("the payment provider has not decided yet")]
    Pending,
    /// It says no, for good.
    #[error("the payment provider declined")]
    Declined,
    /// The movement is not one that this payment's state allows.
    #[error("the payment does not allow it")]
    Refused(#[from] PaymentRefusal),
}

/// A payment provider. `payment` names the payment over all its movements; `key` names one movement.
#[async_trait]
pub trait Payments: Send + Sync + 'static {
    /// Sets the amount aside at the source, without taking it.
    ///
    /// # Errors
    /// [`PaymentError`].
    async fn authorise(&self, payment: &str, amount: Money, source: &Source) -> Result<(), PaymentError>;

    /// Takes a part of what was set aside.
    ///
    /// # Errors
    /// [`PaymentError`]; [`PaymentRefusal::MoreThanAuthorised`].
    async fn capture(&self, payment: &str, key: &str, amount: Money) -> Result<(), PaymentError>;

    /// Gives a part of what was taken back to its source.
    ///
    /// # Errors
    /// [`PaymentError`]; [`PaymentRefusal::MoreThanCaptured`].
    async fn refund(&self, payment: &str, key: &str, amount: Money) -> Result<(), PaymentError>;

    /// Lets go of what is set aside and not taken. A payment that never was is void already.
    ///
    /// # Errors
    /// [`PaymentError`].
    async fn void(&self, payment: &str) -> Result<(), PaymentError>;
}
