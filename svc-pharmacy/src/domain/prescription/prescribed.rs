//! A medicine as it is prescribed, and the rules between its fields that no contract can express. Knows no state.

use caremesh_kernel::{Date, DateRange, ProductId};
use serde::{Deserialize, Serialize};

use crate::domain::safety::substances;

/// The longest time for which an item may be prescribed. A year is the usual ceiling for chronic medicine (known).
const LONGEST_DAYS: i64 = 366;

/// Units a day, exactly: `value` ÷ 10^`decimal_places`. Half a tablet is {5, 1}.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyDose {
    /// The digits, more than 0.
    pub value: i64,
    /// How many of them stand behind the point, 0 to 6.
    pub decimal_places: u32,
}

impl DailyDose {
    /// Ten to the power of the decimal places.
    #[must_use]
    pub fn scale(self) -> i64 {
        10_i64.pow(self.decimal_places.min(6))
    }
}

/// A medicine as it is prescribed. All of it tells of somebody's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prescribed {
    /// Its substances.
    pub generic: String,
    /// Its strength as written.
    pub strength: String,
    /// Its form.
    pub form: String,
    /// Its ATC code, where the prescriber gives one.
    pub atc: Option<String>,
    /// The product, where a brand is prescribed.
    pub product: Option<ProductId>,
    /// Units of one fill.
    pub quantity: i64,
    /// UCUM unit of the quantity.
    pub unit: String,
    /// Units a day; none for "as needed".
    pub daily_dose: Option<DailyDose>,
    /// Fills after the first.
    pub repeats: u32,
    /// Days on which it can be filled.
    pub valid: DateRange,
    /// Least days between two fills; none: three quarters of the days a fill lasts.
    pub interval_days: Option<u32>,
    /// Whether another product may take its place.
    pub substitution_allowed: bool,
    /// How it is taken.
    pub instruction: String,
}

impl Prescribed {
    /// Fills in all: repeats exclude the first, so three repeats are four fills.
    #[must_use]
    pub fn fills(&self) -> u32 {
        self.repeats + 1
    }
}

/// An item that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {index}: {field} {rule}")]
pub struct ItemFault {
    /// Place of the item, from 0.
    pub index: usize,
    /// The field.
    pub field: &'static str,
    /// The rule, by a short name.
    pub rule: &'static str,
}

/// Checks the items of a prescription that was written on a day. `units[n]` is the unit of the dose of item n.
///
/// # Errors
/// [`ItemFault`] names the first item, field and rule.
pub fn check_items(
    items: &[Prescribed],
    dose_units: &[Option<String>],
    issued: Date,
) -> Result<(), ItemFault> {
    for (index, item) in items.iter().enumerate() {
        let fault = |field, rule| ItemFault { index, field, rule };
        if substances(&item.generic).is_empty() {
            return Err(fault("generic_name", "item.names_a_substance"));
        }
        if item.valid.start() < issued {
            return Err(fault("valid.start", "item.not_before_issue"));
        }
        if issued.days_until(item.valid.end()) > LONGEST_DAYS {
            return Err(fault("valid.end", "item.at_most_a_year"));
        }
        let unit = dose_units.get(index).and_then(Option::as_deref);
        if unit.is_some_and(|unit| unit != item.unit) {
            return Err(fault("daily_dose.unit_code", "item.one_unit"));
        }
        if item.daily_dose.is_some_and(|dose| dose.value < 1) {
            return Err(fault("daily_dose.value", "item.dose_positive"));
        }
        if items[..index].iter().any(|other| is_same(other, item)) {
            return Err(fault("generic_name", "item.once"));
        }
    }
    Ok(())
}

fn is_same(a: &Prescribed, b: &Prescribed) -> bool {
    substances(&a.generic) == substances(&b.generic) && a.strength == b.strength && a.form == b.form
}
