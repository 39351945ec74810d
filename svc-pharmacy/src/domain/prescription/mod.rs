//! What a prescriber ordered, how much of it may be handed out when, and what may take its place. Knows no stock, no order
//! and no clock.

mod control;
mod document;
mod fill;
mod item;
mod paper;
mod prescribed;
mod substitution;
mod supply;
#[cfg(test)]
mod tests;

pub use control::{Control, ControlError, ControlRefusal, Encounter, MedicineClass, Met};
pub use document::{DocumentFault, MediaType, inspect};
pub use fill::{Fill, FillAsk, FillRefusal, IntervalOverride};
pub use item::{Counters, Item, ItemState, StateForbids};
pub use paper::{Lease, PaperState, Rejection, Source};
pub use prescribed::{DailyDose, ItemFault, Prescribed, check_items};
pub use substitution::{Medicine, SubstitutionReason, SubstitutionRefusal, may_replace};
pub use supply::Supply;
