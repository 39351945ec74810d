//! What must hold before anything is priced. Field rules of the contract are checked there; these are the ones that
//! the arithmetic rests on.

use std::collections::BTreeSet;

use super::request::{Cover, Event, Line};
use super::{MAX_AMOUNT, MAX_LINES, PriceError};
use crate::domain::account::Snapshot;
use crate::domain::plan::PlanVersion;

/// Most times or days of one line: ten years of days.
const MAX_UNITS: i64 = 3_660;

fn invalid(line: u32, field: &'static str, rule: &'static str) -> Result<(), PriceError> {
    Err(PriceError::Invalid { line, field, rule })
}

pub(super) fn request(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    lines: &[Line],
) -> Result<(), PriceError> {
    if plan.currency != cover.currency {
        return invalid(0, "currency", "is not that of the plan");
    }
    check_lines(lines)?;
    if event.discharge.is_some_and(|discharge| discharge < event.date) {
        return invalid(0, "discharge_date", "must not be before the event date");
    }
    amount(0, "other_payer", event.other_payer_minor)?;
    lines.iter().try_for_each(line)?;
    match plan_needs_cover_on(plan, cover, event) {
        Some(date) if !cover.covers(date) => Err(PriceError::NoCover { date: event.date }),
        _ => Ok(()),
    }
}

/// Whether there are lines, not too many, and each sequence once: what must hold over a whole bill, before it is dealt out.
///
/// # Errors
/// [`PriceError::Invalid`].
pub fn check_lines(lines: &[Line]) -> Result<(), PriceError> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        return invalid(0, "lines", "must be 1 to 1000");
    }
    let mut sequences = BTreeSet::new();
    let twice = lines.iter().find(|line| line.sequence == 0 || !sequences.insert(line.sequence));
    twice.map_or(Ok(()), |line| invalid(line.sequence, "sequence", "must be at least 1 and be there once"))
}

/// The day on which cover is asked for the event as a whole; by service date each line is asked for itself.
fn plan_needs_cover_on(plan: &PlanVersion, cover: &Cover, event: &Event) -> Option<caremesh_kernel::Date> {
    use crate::domain::plan::CrossingRule;
    match plan.crossing_rule {
        CrossingRule::AdmissionDate => Some(event.date),
        CrossingRule::ProrataDays => Some(event.date.max(cover.segment.start())),
        CrossingRule::ServiceDate => None,
    }
}

fn line(line: &Line) -> Result<(), PriceError> {
    let at = line.sequence;
    amount(at, "billed", line.billed_minor)?;
    amount(at, "agreed", line.agreed_minor.unwrap_or(0))?;
    amount(at, "non_payable", line.non_payable_minor)?;
    amount(at, "other_payer", line.other_payer_minor)?;
    units(at, "count", line.count)?;
    units(at, "days", line.days)
}

fn amount(line: u32, field: &'static str, minor: i64) -> Result<(), PriceError> {
    if (0..=MAX_AMOUNT).contains(&minor) {
        Ok(())
    } else {
        invalid(line, field, "must be 0 to 1000000000000000")
    }
}

fn units(line: u32, field: &'static str, units: Option<i64>) -> Result<(), PriceError> {
    if (0..=MAX_UNITS).contains(&units.unwrap_or(0)) {
        Ok(())
    } else {
        invalid(line, field, "must be 0 to 3660")
    }
}

pub(super) fn snapshot(plan: &PlanVersion, snapshot: &Snapshot) -> Result<(), PriceError> {
    let expected = plan.id();
    if snapshot.plan_version == expected {
        return Ok(());
    }
    Err(PriceError::OtherPlanVersion { found: snapshot.plan_version, expected })
}
