//! One item of a prescription: its states and what changes them. Knows no stock and no clock.

use caremesh_kernel::{Date, PrescriptionItemId};

use super::{DailyDose, Prescribed, Supply};

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemState {
    /// Transcribed and not yet verified.
    Draft,
    /// Can be filled.
    Active,
    /// Suspended by its prescriber.
    OnHold,
    /// All fills are used.
    Completed,
    /// Its days are over.
    Expired,
    /// Ended by its prescriber.
    Stopped,
    /// Taken back with the prescription.
    Cancelled,
}

/// The state does not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state forbids it")]
pub struct StateForbids {
    /// Where it stands, by its name.
    pub state: &'static str,
}

impl ItemState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Active,
        Self::OnHold,
        Self::Completed,
        Self::Expired,
        Self::Stopped,
        Self::Cancelled,
    ];

    /// The state after `next`, or a refusal: whatever this table does not name cannot happen.
    ///
    /// # Errors
    /// [`StateForbids`].
    pub fn to(self, next: Self) -> Result<Self, StateForbids> {
        use ItemState::{Active, Cancelled, Completed, Draft, Expired, OnHold, Stopped};
        match (self, next) {
            (Draft, Active | Expired | Cancelled)
            | (Active, OnHold | Completed | Expired | Stopped | Cancelled)
            | (OnHold, Active | Expired | Stopped | Cancelled) => Ok(next),
            _ => Err(StateForbids { state: self.name() }),
        }
    }

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Active => "ACTIVE",
            Self::OnHold => "ON_HOLD",
            Self::Completed => "COMPLETED",
            Self::Expired => "EXPIRED",
            Self::Stopped => "STOPPED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What was handed out of an item so far, over all branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Fills begun.
    pub fills: u32,
    /// Units of the present fill that were handed out.
    pub in_fill: i64,
    /// Units in all.
    pub total: i64,
    /// What the patient should still have.
    pub supply: Option<Supply>,
    /// The day on which the present fill began.
    pub begun: Option<Date>,
    /// Whether the dose was changed since: then the supply says when the next fill is due, not a fixed interval.
    pub amended: bool,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: PrescriptionItemId,
    /// What was prescribed, with its present dose.
    pub prescribed: Prescribed,
    /// Where it stands as it was stored; see [`Item::state`].
    pub stored: ItemState,
    /// What was handed out.
    pub counters: Counters,
}

impl Item {
    /// Where it stands on a day: time alone ends what waits or runs, on the first day after its days.
    #[must_use]
    pub fn state(&self, today: Date) -> ItemState {
        match self.stored {
            ItemState::Draft | ItemState::Active | ItemState::OnHold
                if today >= self.prescribed.valid.end() =>
            {
                ItemState::Expired
            }
            other => other,
        }
    }

    /// Moves it to a state on a day.
    ///
    /// # Errors
    /// [`StateForbids`].
    pub fn moved(mut self, next: ItemState, today: Date) -> Result<Self, StateForbids> {
        self.stored = self.state(today).to(next)?;
        Ok(self)
    }

    /// Changes the dose on a day: what was used so far was used at the old one.
    ///
    /// # Errors
    /// [`StateForbids`] unless it is active or on hold.
    pub fn amended(mut self, dose: DailyDose, instruction: &str, today: Date) -> Result<Self, StateForbids> {
        let state = self.state(today);
        if !matches!(state, ItemState::Active | ItemState::OnHold) {
            return Err(StateForbids { state: state.name() });
        }
        let old = self.prescribed.daily_dose;
        self.counters.supply = self.counters.supply.map(|supply| supply.recounted(old, today));
        self.counters.amended = self.counters.supply.is_some();
        self.prescribed.daily_dose = Some(dose);
        if !instruction.is_empty() {
            instruction.clone_into(&mut self.prescribed.instruction);
        }
        Ok(self)
    }

    /// Units of the present fill that are still owed.
    #[must_use]
    pub fn owed(&self) -> i64 {
        if self.counters.fills == 0 { 0 } else { self.prescribed.quantity - self.counters.in_fill }
    }

    /// The first day on which the next fill can be had; none when it can be had at once or never again.
    #[must_use]
    pub fn next_fill(&self) -> Option<Date> {
        let begun = self.counters.begun?;
        if self.counters.fills >= self.prescribed.fills() {
            return None;
        }
        let by_interval = self.prescribed.interval_days.map(|days| begun.plus_days(i64::from(days)));
        let by_supply =
            || self.counters.supply.and_then(|supply| supply.next_fill(self.prescribed.daily_dose));
        if self.counters.amended { by_supply() } else { by_interval.or_else(by_supply) }
    }
}
