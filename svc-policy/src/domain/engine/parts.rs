//! Parts of a whole (rule R9): part captures and the re-pricing of what is kept.
//!
//! A part takes `half-up(plan share × quantity so far ÷ quantity) − taken before`, so that the parts sum to the whole.
//! A return re-prices the kept quantity on the original plan version and balances; it never prorates old shares.

use std::collections::BTreeMap;

use caremesh_kernel::half_up;

use super::request::{Cover, Event, Line};
use super::{PriceError, Priced, price};
use crate::domain::account::{AccountKey, Leg, Measure, Snapshot};
use crate::domain::plan::PlanVersion;

/// What of a whole belongs to the quantity from `before` to `so_far` (exclusive of what came before), minor units.
///
/// # Panics
/// If `quantity` is not positive or `so_far` exceeds it.
#[must_use]
pub fn part_share(whole: i64, before: i64, so_far: i64, quantity: i64) -> i64 {
    assert!(0 <= before && before <= so_far && so_far <= quantity, "parts rise within the quantity");
    half_up(whole, so_far, quantity) - half_up(whole, before, quantity)
}

/// Of a line: its quantity as priced, what was delivered before, and what is delivered with this part as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptLine {
    /// Sequence of the line.
    pub sequence: u32,
    /// Quantity as priced; positive.
    pub quantity: i64,
    /// Quantity of the parts before.
    pub before: i64,
    /// Quantity with this part; at most `quantity`.
    pub so_far: i64,
}

/// The legs of one part of a priced order. A line that `parts` does not name has no part.
///
/// Each account of a line gets the part of its own sum, drawn from its layers in their order, so that all parts
/// together are exactly the legs of the whole. Times are not parted: one fill is one count, and it goes with the first.
#[must_use]
pub fn part_legs(legs: &[Leg], parts: &[KeptLine]) -> Vec<Leg> {
    let mut seen: BTreeMap<(u32, &AccountKey), i64> = BTreeMap::new();
    let mut result = Vec::new();
    for leg in legs {
        let Some(part) = parts.iter().find(|part| part.sequence == leg.line) else { continue };
        let whole: i64 = same_account(legs, leg).map(|leg| leg.amount).sum();
        let start = seen.entry((leg.line, &leg.account)).or_default();
        let amount = overlap(*start, leg.amount, window(leg.account.measure, whole, part));
        *start += leg.amount;
        if amount > 0 {
            result.push(Leg { amount, ..leg.clone() });
        }
    }
    result
}

fn same_account<'a>(legs: &'a [Leg], of: &'a Leg) -> impl Iterator<Item = &'a Leg> {
    legs.iter().filter(move |leg| leg.line == of.line && leg.account == of.account)
}

/// From where to where in an account's sum this part goes.
fn window(measure: Measure, whole: i64, part: &KeptLine) -> (i64, i64) {
    let upto = |quantity: i64| match measure {
        Measure::Count if quantity > 0 => whole,
        Measure::Count => 0,
        _ => half_up(whole, quantity, part.quantity),
    };
    (upto(part.before), upto(part.so_far))
}

/// What of a leg that lies from `start` on in the account's sum falls into the window.
fn overlap(start: i64, length: i64, (from, to): (i64, i64)) -> i64 {
    (to.min(start + length) - from.max(start)).max(0)
}

/// Prices what is kept of an order after a return or a short delivery, on the original plan version and on the
/// balances as they were before the order. One posting then carries the reversal of the old legs and the new ones.
///
/// The list price of a line is taken in proportion to its kept quantity, half-up; so are its agreed price, its
/// non-payable part and other payers' money. Times and days stay as they were. Lines that nothing is kept of fall away,
/// and so may the whole price: then the answer is `None`.
///
/// # Errors
/// As [`price`]; [`PriceError::Invalid`] for a kept quantity outside 0 to the quantity.
pub fn reprice_kept(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    lines: &[Line],
    before_order: &Snapshot,
    kept: &[KeptLine],
) -> Result<Option<Priced>, PriceError> {
    let mut remaining = Vec::with_capacity(lines.len());
    for line in lines {
        match kept.iter().find(|kept| kept.sequence == line.sequence) {
            None => remaining.push(line.clone()),
            Some(kept) if kept.quantity <= 0 || !(0..=kept.quantity).contains(&kept.so_far) => {
                let rule = "must be 0 to the quantity of the line";
                return Err(PriceError::Invalid { line: line.sequence, field: "kept_quantity", rule });
            }
            Some(kept) if kept.so_far == 0 => {}
            Some(kept) => remaining.push(scaled(line, kept)),
        }
    }
    if remaining.is_empty() {
        return Ok(None);
    }
    price(plan, cover, event, &remaining, before_order).map(Some)
}

fn scaled(line: &Line, kept: &KeptLine) -> Line {
    let of = |amount: i64| half_up(amount, kept.so_far, kept.quantity);
    Line {
        billed_minor: of(line.billed_minor),
        agreed_minor: line.agreed_minor.map(of),
        non_payable_minor: of(line.non_payable_minor),
        other_payer_minor: of(line.other_payer_minor),
        ..line.clone()
    }
}
