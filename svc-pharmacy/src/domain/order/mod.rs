//! Orders: their states, the shares of their lines and parts, and the journal that settles them. Knows neither the wire nor
//! who reserves the stock.

mod benefit;
mod journal;
mod pack;
mod parcel;
mod script;
mod shares;
mod state;
mod steps;
#[cfg(test)]
mod tests;

use caremesh_kernel::{
    BranchId, Currency, Date, DispenseId, EpisodeId, EventId, MemberId, OrderId, ParcelId, PersonId,
    PolicyId, ProductId, ReservationId, Timestamp,
};
use serde::{Deserialize, Serialize};

pub use benefit::{Benefit, Capture, Leg, PartLine, Priced, PricedLine, Tried, Why, part_legs};
pub use journal::{Entry, Line as JournalLine, Party, balance_of};
pub use pack::{WHOLE, units_in};
pub use parcel::{Handover, MOST_PARCELS, Parcel, ParcelLine, ParcelState};
pub use script::Script;
pub use shares::{Shares, part_of};
pub use state::{Event, OrderState, StateForbids};
pub use steps::Refusal;

/// How the member's own share is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Method {
    /// Set aside at once, taken part by part.
    Card,
    /// At the door.
    Cash,
}

/// The member's payment: what was set aside, taken and given back, minor units. Never more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// Set aside; for cash what was promised.
    pub authorised: i64,
    /// Taken so far.
    pub captured: i64,
    /// Given back so far.
    pub refunded: i64,
    /// Nothing more will be taken.
    pub over: bool,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Permanent number, from 1.
    pub sequence: u32,
    /// What.
    pub product: ProductId,
    /// Units ordered, at least 1.
    pub quantity: i64,
    /// UCUM code of the unit.
    pub unit: String,
    /// Whether it is sold without a prescription.
    pub over_the_counter: bool,
    /// From which prescription it is filled; none for what is sold without one.
    #[serde(default)]
    pub script: Option<Script>,
    /// The stock that was put aside.
    pub reservation: ReservationId,
    /// Who bears it, as priced for the whole quantity.
    pub whole: Shares,
    /// Who bears it now: for what is kept, once it was priced anew.
    pub shares: Shares,
    /// Units packed so far, dispensed ones included.
    pub packed: i64,
    /// Units dispensed so far.
    pub dispensed: i64,
    /// Units that came back or never arrived.
    pub returned: i64,
}

impl OrderLine {
    /// Whether it has no verified item to be filled from, and needs one.
    #[must_use]
    pub fn needs_verification(&self) -> bool {
        match self.script {
            Some(script) => script.item.is_none(),
            None => !self.over_the_counter,
        }
    }

    /// The list price of so many units of it.
    #[must_use]
    pub fn list_of(&self, units: i64) -> i64 {
        part_of(self.whole.list, 0, units, self.quantity)
    }

    /// Units that the patient has.
    #[must_use]
    pub fn kept(&self) -> i64 {
        self.dispensed - self.returned
    }
}

/// A record that a claim can be made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: DispenseId,
    /// The parcels it stands for.
    pub parcels: Vec<ParcelId>,
    /// Rises with each repricing.
    pub revision: i32,
    /// Whether it was replaced, or nothing is kept.
    pub withdrawn: bool,
    /// Who bears it.
    pub shares: Shares,
    /// The ledger's posting; none when the plan pays nothing.
    pub posting: Option<String>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who will take it.
    pub patient: PersonId,
    /// Who placed it, where that person has a record.
    pub placed_by: Option<PersonId>,
    /// Under which membership it is insured.
    pub member: Option<MemberId>,
    /// Under which policy.
    pub policy: Option<PolicyId>,
    /// The branch.
    pub branch: BranchId,
    /// Where it stands.
    pub state: OrderState,
    /// Of all amounts.
    pub currency: Currency,
    /// The insured event.
    pub event: EventId,
    /// The day of the order in the policy's zone.
    pub event_date: Date,
    /// The care episode.
    pub episode: Option<EpisodeId>,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// What was packed.
    pub parcels: Vec<Parcel>,
    /// What was dispensed, ready to be claimed.
    pub records: Vec<Record>,
    /// What the plan gives.
    pub benefit: Benefit,
    /// The most that the member agreed to pay, minor units.
    pub agreed_member_minor: i64,
    /// How the own share is paid.
    pub method: Method,
    /// What was set aside, taken and given back.
    pub payment: Option<Paid>,
    /// The first instant at which the reservations are over.
    pub reserved_until: Timestamp,
    /// Why it ended early.
    pub reason: Option<String>,
    /// A cancellation, or a repricing, under way.
    pub closing: bool,
    /// Rises with each repricing: the revision of postings and records.
    pub revision: i32,
    /// When it was placed.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

impl Order {
    /// Who bears it, over all lines.
    #[must_use]
    pub fn total(&self) -> Shares {
        self.lines.iter().fold(Shares::default(), |sum, line| sum.plus(line.shares))
    }

    /// What was sold and stands, by the records that were not withdrawn.
    #[must_use]
    pub fn sold(&self) -> Shares {
        let stand = self.records.iter().filter(|record| !record.withdrawn);
        stand.fold(Shares::default(), |sum, record| sum.plus(record.shares))
    }

    /// Whether some line waits for a pharmacist to verify its paper (INV-R3): until then nothing is packed.
    #[must_use]
    pub fn needs_verification(&self) -> bool {
        self.lines.iter().any(OrderLine::needs_verification)
    }

    /// Whether the whole of it was packed.
    #[must_use]
    pub fn is_all_packed(&self) -> bool {
        self.lines.iter().all(|line| line.packed == line.quantity)
    }

    /// Whether anything was dispensed.
    #[must_use]
    pub fn is_dispensed(&self) -> bool {
        self.lines.iter().any(|line| line.dispensed > 0)
    }
}
