//! The states of an order and what moves it from one to another. Every pair that is not here is refused.

use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Stock is reserved; benefit and own share are being set aside.
    Reserving,
    /// The payment provider has not decided yet.
    AwaitingPayment,
    /// A pharmacist has to verify the prescription.
    AwaitingVerification,
    /// All is reserved and verified.
    Confirmed,
    /// A part is packed, nothing dispensed.
    Packing,
    /// A part is dispensed.
    PartlyShipped,
    /// All that will come is dispensed.
    Shipped,
    /// All of that has reached the patient.
    Delivered,
    /// Nothing reached the patient.
    DeliveryFailed,
    /// All that was delivered came back.
    Returned,
    /// Cancelled before anything was dispensed.
    Cancelled,
    /// Ran out before anything was dispensed.
    Expired,
}

/// What happens to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The provider takes its time.
    PaymentPending,
    /// Benefit and payment are set aside and a prescription is to be verified.
    ReservedUnverified,
    /// Benefit and payment are set aside and nothing is to be verified.
    Reserved,
    /// The pharmacist verified.
    Verified,
    /// A parcel was packed.
    Packed,
    /// A parcel was taken apart and none is left.
    Unpacked,
    /// A part was dispensed, and more may come.
    DispensedPart,
    /// The last part was dispensed, or no more will come.
    DispensedAll,
    /// Everything dispensed was delivered.
    DeliveredAll,
    /// Of everything dispensed nothing was delivered.
    DeliveredNothing,
    /// Everything delivered came back.
    ReturnedAll,
    /// Cancelled, or given up, with nothing dispensed.
    Cancel,
    /// The reservations ran out with nothing dispensed.
    Expire,
}

/// The state does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order in this state does not allow it")]
pub struct StateForbids {
    /// The state's name in the contract.
    pub state: &'static str,
}

impl OrderState {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Reserving,
        Self::AwaitingPayment,
        Self::AwaitingVerification,
        Self::Confirmed,
        Self::Packing,
        Self::PartlyShipped,
        Self::Shipped,
        Self::Delivered,
        Self::DeliveryFailed,
        Self::Returned,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The state after an event.
    ///
    /// # Errors
    /// [`StateForbids`] for every pair that is not a transition.
    pub fn after(self, event: Event) -> Result<Self, StateForbids> {
        use Event as E;
        match (self, event) {
            (Self::Reserving | Self::AwaitingPayment, E::PaymentPending) => Ok(Self::AwaitingPayment),
            (Self::Reserving | Self::AwaitingPayment, E::ReservedUnverified) => {
                Ok(Self::AwaitingVerification)
            }
            (Self::Reserving | Self::AwaitingPayment, E::Reserved) => Ok(Self::Confirmed),
            (Self::AwaitingVerification, E::Verified) => Ok(Self::Confirmed),
            (Self::Confirmed | Self::Packing, E::Packed) => Ok(Self::Packing),
            (Self::Packing, E::Unpacked) => Ok(Self::Confirmed),
            (Self::PartlyShipped, E::Packed | E::Unpacked) => Ok(Self::PartlyShipped),
            (Self::Packing | Self::PartlyShipped, E::DispensedPart) => Ok(Self::PartlyShipped),
            (Self::Packing | Self::PartlyShipped, E::DispensedAll) => Ok(Self::Shipped),
            (Self::Shipped, E::DeliveredAll) => Ok(Self::Delivered),
            (Self::Shipped, E::DeliveredNothing) => Ok(Self::DeliveryFailed),
            (Self::Delivered, E::ReturnedAll) => Ok(Self::Returned),
            (state, E::Cancel) if state.is_before_dispensing() => Ok(Self::Cancelled),
            (state, E::Expire) if state.is_before_dispensing() => Ok(Self::Expired),
            _ => Err(StateForbids { state: self.name() }),
        }
    }

    /// Whether nothing can have been dispensed and it is not over.
    #[must_use]
    pub fn is_before_dispensing(self) -> bool {
        matches!(
            self,
            Self::Reserving
                | Self::AwaitingPayment
                | Self::AwaitingVerification
                | Self::Confirmed
                | Self::Packing
        )
    }

    /// Whether nothing more is reserved for it.
    #[must_use]
    pub fn is_closed(self) -> bool {
        !self.is_before_dispensing() && self != Self::PartlyShipped
    }

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserving => "RESERVING",
            Self::AwaitingPayment => "AWAITING_PAYMENT",
            Self::AwaitingVerification => "AWAITING_VERIFICATION",
            Self::Confirmed => "CONFIRMED",
            Self::Packing => "PACKING",
            Self::PartlyShipped => "PARTLY_SHIPPED",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::DeliveryFailed => "DELIVERY_FAILED",
            Self::Returned => "RETURNED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }
}
