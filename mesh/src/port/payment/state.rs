//! A payment and what may be done with it: AUTHORISED → CAPTURED → PARTLY_REFUNDED → REFUNDED, or FAILED. Pure; must not
//! know providers.

use caremesh_kernel::{Money, MoneyError};
use serde::{Deserialize, Serialize};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentState {
    /// Set aside, nothing taken.
    Authorised,
    /// Taken, in whole or in part, and nothing given back.
    Captured,
    /// A part of what was taken was given back.
    PartlyRefunded,
    /// All that was taken was given back.
    Refunded,
    /// Voided, declined or reversed: nothing more will come.
    Failed,
}

/// Why a movement is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRefusal {
    /// An amount below zero, or of another currency.
    #[error("the amount is not one of this payment")]
    Amount,
    /// More than is set aside and not yet taken.
    #[error("more than was authorised")]
    MoreThanAuthorised,
    /// More than was taken and not yet given back.
    #[error("more than was captured")]
    MoreThanCaptured,
    /// The payment is voided, declined or reversed.
    #[error("the payment is over")]
    Over,
    /// There is no such payment.
    #[error("there is no such payment")]
    Unknown,
}

impl From<MoneyError> for PaymentRefusal {
    fn from(_: MoneyError) -> Self {
        Self::Amount
    }
}

/// A payment. Always: `refunded <= captured <= authorised`, each zero or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Set aside.
    pub authorised: Money,
    /// Taken so far.
    pub captured: Money,
    /// Given back so far.
    pub refunded: Money,
    /// Voided: nothing more can be taken.
    pub over: bool,
}

impl Payment {
    /// A fresh payment of this amount.
    ///
    /// # Errors
    /// [`PaymentRefusal::Amount`] below zero.
    pub fn authorised(amount: Money) -> Result<Self, PaymentRefusal> {
        let zero = Money::zero(amount.currency);
        not_negative(amount)?;
        Ok(Self { authorised: amount, captured: zero, refunded: zero, over: false })
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> PaymentState {
        match (self.captured.minor, self.refunded.minor) {
            (0, _) if self.over => PaymentState::Failed,
            (0, _) => PaymentState::Authorised,
            (_, 0) => PaymentState::Captured,
            (captured, refunded) if refunded < captured => PaymentState::PartlyRefunded,
            _ => PaymentState::Refunded,
        }
    }

    /// With so much more taken.
    ///
    /// # Errors
    /// [`PaymentRefusal`].
    pub fn captured(mut self, amount: Money) -> Result<Self, PaymentRefusal> {
        not_negative(amount)?;
        if self.over {
            return Err(PaymentRefusal::Over);
        }
        self.captured = self.captured.checked_add(amount)?;
        if self.captured.minor > self.authorised.minor {
            return Err(PaymentRefusal::MoreThanAuthorised);
        }
        Ok(self)
    }

    /// With so much given back to its source.
    ///
    /// # Errors
    /// [`PaymentRefusal`].
    pub fn refunded(mut self, amount: Money) -> Result<Self, PaymentRefusal> {
        not_negative(amount)?;
        self.refunded = self.refunded.checked_add(amount)?;
        if self.refunded.minor > self.captured.minor {
            return Err(PaymentRefusal::MoreThanCaptured);
        }
        Ok(self)
    }

    /// With what is set aside and not taken let go. Twice is once.
    #[must_use]
    pub fn voided(mut self) -> Self {
        self.over = true;
        self
    }

    /// Taken and kept, minor units.
    #[must_use]
    pub fn kept_minor(&self) -> i64 {
        self.captured.minor - self.refunded.minor
    }
}

fn not_negative(amount: Money) -> Result<(), PaymentRefusal> {
    if amount.minor < 0 { Err(PaymentRefusal::Amount) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caremesh_kernel::Currency;
    use proptest::prelude::*;

    fn naira(minor: i64) -> Money {
        Money::new(Currency::NGN, minor)
    }

    #[test]
    fn a_payment_goes_from_authorised_over_captured_to_refunded() {
        let payment = Payment::authorised(naira(100)).unwrap();
        assert_eq!(payment.state(), PaymentState::Authorised);
        let payment = payment.captured(naira(60)).unwrap().captured(naira(40)).unwrap();
        assert_eq!(payment.state(), PaymentState::Captured);
        let payment = payment.refunded(naira(30)).unwrap();
        assert_eq!((payment.state(), payment.kept_minor()), (PaymentState::PartlyRefunded, 70));
        assert_eq!(payment.refunded(naira(70)).unwrap().state(), PaymentState::Refunded);
        assert_eq!(Payment::authorised(naira(1)).unwrap().voided().state(), PaymentState::Failed);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_no_more_is_taken_than_authorised_nor_given_back_than_taken(
            moves in proptest::collection::vec((0u8..3, -5i64..60), 0..40),
        ) {
            let mut payment = Payment::authorised(naira(100)).unwrap();
            for (kind, minor) in moves {
                let was = payment.clone();
                let next = match kind {
                    0 => payment.clone().captured(naira(minor)),
                    1 => payment.clone().refunded(naira(minor)),
                    _ => Ok(payment.clone().voided()),
                };
                prop_assert!(next.is_ok() || minor < 0 || was.over
                    || (kind == 0 && was.captured.minor + minor > 100)
                    || (kind == 1 && was.refunded.minor + minor > was.captured.minor));
                payment = next.unwrap_or(was.clone());
                prop_assert!(0 <= payment.refunded.minor && payment.refunded.minor <= payment.captured.minor);
                prop_assert!(payment.captured.minor <= payment.authorised.minor);
                prop_assert!(!was.over || payment.captured == was.captured);
            }
        }
    }
}
