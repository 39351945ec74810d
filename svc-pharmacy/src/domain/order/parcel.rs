//! Parcels: the parts of an order that are dispensed and handed over together, and their states.

use caremesh_kernel::ParcelId;
use serde::{Deserialize, Serialize};

use super::{PartLine, Shares, StateForbids};

/// Parcels that an order can have: one posting must be able to take all of their captures back.
pub const MOST_PARCELS: usize = 8;

/// Where a parcel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ParcelState {
    /// Packed.
    Packed,
    /// Benefit and own share are being captured.
    Dispensing,
    /// With the courier.
    Shipped,
    /// With the patient.
    Delivered,
    /// Never arrived; destroyed.
    NotDelivered,
    /// Taken apart again.
    Unpacked,
}

impl ParcelState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Packed, Self::Dispensing, Self::Shipped, Self::Delivered, Self::NotDelivered, Self::Unpacked];

    /// The next state, or a refusal: what has left the branch never comes back to the shelf.
    ///
    /// # Errors
    /// [`StateForbids`].
    pub fn to(self, next: Self) -> Result<Self, StateForbids> {
        match (self, next) {
            (Self::Packed, Self::Dispensing | Self::Unpacked)
            | (Self::Dispensing, Self::Packed | Self::Shipped | Self::Delivered)
            | (Self::Shipped, Self::Shipped | Self::Delivered | Self::NotDelivered) => Ok(next),
            _ => Err(StateForbids { state: self.name() }),
        }
    }

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packed => "PACKED",
            Self::Dispensing => "DISPENSING",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::NotDelivered => "NOT_DELIVERED",
            Self::Unpacked => "UNPACKED",
        }
    }
}

/// How a parcel reaches the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Handover {
    /// At the counter: dispensed is delivered.
    AtCounter,
    /// By courier.
    Courier,
}

/// What of a line is in a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelLine {
    /// The line.
    pub sequence: u32,
    /// Units.
    pub quantity: i64,
}

/// A parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its id.
    pub id: ParcelId,
    /// Which of the order, from 0: the part of the ledger's postings.
    pub number: i32,
    /// Where it stands.
    pub state: ParcelState,
    /// What is in it.
    pub lines: Vec<ParcelLine>,
    /// What of the lines goes with it; fixed when dispensing begins.
    pub parts: Vec<PartLine>,
    /// Who bears it; fixed with the parts.
    pub shares: Shares,
    /// How often dispensing was begun: names its postings, of which each is made once for ever.
    pub tries: i32,
    /// A hold of its own, made when what was captured for it was given back.
    pub hold: Option<String>,
    /// How it reaches the patient.
    pub handover: Option<Handover>,
    /// Deliveries that failed.
    pub attempts: i32,
    /// Proof of delivery, sealed with the patient's key, hexadecimal.
    pub proof_sealed: Option<String>,
    /// Who dispensed it: a keyed hash.
    pub pharmacist: Option<String>,
}

impl Parcel {
    /// Which part of the order its postings are.
    #[must_use]
    pub fn part(&self) -> i32 {
        self.number * 1_000 + self.tries.min(999)
    }
}
