//! Whether a quantity of an item may be handed out, and what the item is after it. Counts over all branches, because it
//! counts on the item. Knows no branch, no stock and no clock.

use caremesh_kernel::Date;

use super::{Item, ItemState, StateForbids, Supply};

/// Why a fill may be earlier than its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntervalOverride {
    /// The last fill was lost or damaged.
    LostOrDamaged,
    /// The patient travels.
    Travel,
    /// The prescriber was asked and agreed.
    PrescriberAgreed,
}

impl IntervalOverride {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LostOrDamaged => "LOST_OR_DAMAGED",
            Self::Travel => "TRAVEL",
            Self::PrescriberAgreed => "PRESCRIBER_AGREED",
        }
    }
}

/// What is asked to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillAsk {
    /// Units, at least 1.
    pub quantity: i64,
    /// Unit of the quantity.
    pub unit: String,
    /// Why it may be early.
    pub early: Option<IntervalOverride>,
}

/// Why it is not handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillRefusal {
    /// The item is not active on this day.
    #[error(transparent)]
    State(#[from] StateForbids),
    /// The unit is not the one that was prescribed.
    #[error("another unit was prescribed")]
    Unit,
    /// All fills are used.
    #[error("all fills are used")]
    Exhausted,
    /// More than the fill owes.
    #[error("the fill does not owe that much")]
    TooMuch {
        /// Units it owes.
        owed: i64,
    },
    /// The interval is not over.
    #[error("the next fill is not due")]
    TooSoon {
        /// The first day of the next fill.
        next: Date,
    },
}

/// A fill, or a part of one, that may be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which fill of the item, from 1.
    pub number: u32,
    /// Whether it begins the fill.
    pub begins: bool,
    /// The item after it.
    pub item: Item,
}

impl Item {
    /// Hands out a quantity on a day. What a fill still owes comes before the next fill begins, and is never too soon.
    ///
    /// # Errors
    /// [`FillRefusal`].
    pub fn fill(&self, ask: &FillAsk, today: Date) -> Result<Fill, FillRefusal> {
        self.must_be_fillable(today)?;
        if ask.unit != self.prescribed.unit {
            return Err(FillRefusal::Unit);
        }
        if self.owed() > 0 { self.go_on(ask, today) } else { self.begin(ask, today) }
    }

    fn must_be_fillable(&self, today: Date) -> Result<(), FillRefusal> {
        let state = self.state(today);
        if state == ItemState::Completed {
            return Err(FillRefusal::Exhausted);
        }
        if state != ItemState::Active {
            return Err(StateForbids { state: state.name() }.into());
        }
        if today < self.prescribed.valid.start() {
            return Err(StateForbids { state: "NOT_YET_VALID" }.into());
        }
        Ok(())
    }

    fn go_on(&self, ask: &FillAsk, today: Date) -> Result<Fill, FillRefusal> {
        within(ask.quantity, self.owed())?;
        let mut item = self.clone();
        let dose = item.prescribed.daily_dose;
        item.counters.in_fill += ask.quantity;
        item.counters.total += ask.quantity;
        item.counters.supply = item.counters.supply.map(|supply| supply.continued(dose, today, ask.quantity));
        Ok(item.into_fill(false, today))
    }

    fn begin(&self, ask: &FillAsk, today: Date) -> Result<Fill, FillRefusal> {
        if self.counters.fills >= self.prescribed.fills() {
            return Err(FillRefusal::Exhausted);
        }
        within(ask.quantity, self.prescribed.quantity)?;
        if let Some(next) = self.next_fill().filter(|next| today < *next)
            && ask.early.is_none()
        {
            return Err(FillRefusal::TooSoon { next });
        }
        let mut item = self.clone();
        let (dose, before) = (item.prescribed.daily_dose, item.counters.supply);
        item.counters.fills += 1;
        item.counters.in_fill = ask.quantity;
        item.counters.total += ask.quantity;
        item.counters.supply =
            Some(Supply::begun(before, dose, today, item.prescribed.quantity, ask.quantity));
        item.counters.begun = Some(today);
        item.counters.amended = false;
        Ok(item.into_fill(true, today))
    }

    /// The last unit of the last fill completes the item.
    fn into_fill(mut self, begins: bool, today: Date) -> Fill {
        if self.counters.fills >= self.prescribed.fills() && self.owed() == 0 {
            self.stored = self.state(today).to(ItemState::Completed).unwrap_or(self.stored);
        }
        Fill { number: self.counters.fills, begins, item: self }
    }
}

fn within(quantity: i64, owed: i64) -> Result<(), FillRefusal> {
    if (1..=owed).contains(&quantity) { Ok(()) } else { Err(FillRefusal::TooMuch { owed }) }
}
