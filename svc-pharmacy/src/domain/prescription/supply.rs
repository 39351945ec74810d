//! How long what was handed out lasts, counted anew whenever the dose changes. Knows no prescription.

use caremesh_kernel::Date;
use serde::{Deserialize, Serialize};

use super::DailyDose;

/// Share of a fill that must be used before the next one, in percent: 75 to 80 is usual, the lower end is kinder.
const USED_PERCENT: i64 = 75;

/// What a patient has of an item, as of a day. Amounts are in millionths of a unit, so that a changed dose keeps fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// The day of the count.
    pub as_of: Date,
    /// Millionths of a unit left on that day.
    pub left_millionths: i64,
    /// Units of the fill that was begun last, in millionths.
    pub fill_millionths: i64,
}

const MILLION: i64 = 1_000_000;

impl Supply {
    /// What the patient has after a dispense that begins a fill. What was left of the fill before is still there.
    #[must_use]
    pub fn begun(
        before: Option<Self>,
        dose: Option<DailyDose>,
        today: Date,
        fill_units: i64,
        units: i64,
    ) -> Self {
        let left = before.map_or(0, |supply| supply.left_on(today, dose));
        Self { as_of: today, left_millionths: left + units * MILLION, fill_millionths: fill_units * MILLION }
    }

    /// What the patient has after more of the same fill was handed out.
    #[must_use]
    pub fn continued(self, dose: Option<DailyDose>, today: Date, units: i64) -> Self {
        Self { as_of: today, left_millionths: self.left_on(today, dose) + units * MILLION, ..self }
    }

    /// Counts up to the day on which the dose changes: used so far at the old one, from now on at the new one.
    #[must_use]
    pub fn recounted(self, old_dose: Option<DailyDose>, today: Date) -> Self {
        Self { as_of: today, left_millionths: self.left_on(today, old_dose), ..self }
    }

    /// Millionths of a unit that are left on a day when taken as prescribed.
    #[must_use]
    pub fn left_on(self, today: Date, dose: Option<DailyDose>) -> i64 {
        let Some(dose) = dose else { return self.left_millionths };
        let days = self.as_of.days_until(today).max(0);
        let used = i128::from(days) * i128::from(dose.value) * i128::from(MILLION) / i128::from(dose.scale());
        i64::try_from(i128::from(self.left_millionths) - used).unwrap_or(0).max(0)
    }

    /// The first day on which the next fill is due: when three quarters of the last one are used. None: as needed.
    #[must_use]
    pub fn next_fill(self, dose: Option<DailyDose>) -> Option<Date> {
        let dose = dose?;
        let may_be_left = self.fill_millionths / 100 * (100 - USED_PERCENT);
        let to_use = i128::from(self.left_millionths - may_be_left).max(0);
        let a_day = i128::from(dose.value) * i128::from(MILLION);
        let days = (to_use * i128::from(dose.scale()) + a_day - 1) / a_day;
        Some(self.as_of.plus_days(i64::try_from(days).unwrap_or(i64::MAX)))
    }
}
