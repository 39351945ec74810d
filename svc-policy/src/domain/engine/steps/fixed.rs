//! What a fixed benefit claims: its amount per day or event, whatever the actual cost.

use crate::domain::engine::request::Line;
use crate::domain::plan::{FixedBenefit, FixedPer};

/// The benefit's amount for a line. Days at the beginning that it does not pay are not claimed either.
pub(in crate::domain::engine) fn claimed(benefit: &FixedBenefit, line: &Line) -> i64 {
    let units = match benefit.per {
        FixedPer::Event => 1,
        FixedPer::Day => paid_days(benefit, line),
    };
    benefit.amount_minor.saturating_mul(units)
}

/// Days of a line that the benefit pays.
pub(super) fn paid_days(benefit: &FixedBenefit, line: &Line) -> i64 {
    (line.days.unwrap_or(1) - benefit.skip_days).max(0)
}
