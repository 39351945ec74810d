//! The benefit engine: what a plan pays for the lines of an insured event, line by line, and why.
//!
//! Pure: no I/O, no clock; the same arguments give the same bytes for ever. Source: section 3 of the ledger rules
//! (R0–R9). Entry points, in the order in which a price is made:
//!
//! 1. [`accounts_needed`]: which accounts the event would touch, so that one read loads them.
//! 2. [`price`]: the price on that snapshot, with its legs, grants and the versions read.
//! 3. [`open_account`]: the opening layers of an account that a posting touches first.
//! 4. [`part_legs`], [`reprice_kept`]: part captures and returns (R9).
//! 5. [`split_by_crossing`], [`carry_over`], [`uncovered`], [`combine`]: a stay over several terms or segments, each priced
//!    by its own rules.
//!
//! The steps are in `steps/`, one file each; a plan version says in which order they run.

mod book;
mod crossing;
mod error;
mod legs;
mod needs;
mod opening;
mod parts;
mod priced;
mod request;
mod restoring;
mod run;
mod stay;
mod steps;
mod validate;
mod waiting;

pub use crossing::{Portion, split_by_crossing};
pub use error::PriceError;
pub use needs::AccountNeed;
pub use parts::{KeptLine, part_legs, part_share, reprice_kept};
pub use priced::{Breakdown, Cut, LinePrice, Part, Priced, ReadVersion, Reason};
pub use request::{Cover, CoverLayer, CoveredMember, Event, Excluded, Ground, Line};
pub use stay::{carry_over, combine, uncovered};
pub use validate::check_lines;

pub(in crate::domain) use restoring::may_restore;
pub(in crate::domain) use run::circumstance;
pub(in crate::domain) use waiting::{applies as waiting_applies, ends_on as waiting_ends_on};

#[cfg(test)]
mod tests;

use crate::domain::account::{Account, AccountKey, Snapshot};
use crate::domain::plan::{PlanVersion, Step};
use run::{LineRun, Run};

/// The largest amount of one line, limit or premium in minor units, so that a thousand of them sum within 64 bits.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// The most lines of one price.
pub const MAX_LINES: usize = 1_000;

/// The accounts that this event and these lines could touch, ascending by id, each as it would be opened.
///
/// The store replaces each by its row where there is one; where [`AccountNeed::draws`] is set it also loads who drew
/// on it ([`crate::domain::account::PriorDraw`]). Together they are the [`Snapshot`] for [`price`].
///
/// # Errors
/// As [`price`].
pub fn accounts_needed(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    lines: &[Line],
) -> Result<Vec<AccountNeed>, PriceError> {
    validate::request(plan, cover, event, lines)?;
    Ok(needs::of(plan, cover, event, lines))
}

/// Prices the lines of one event on a snapshot. An account that the snapshot does not have counts as never posted to.
///
/// # Errors
/// [`PriceError::NoCover`] if the cover does not contain the event date, [`PriceError::Invalid`] for a line or event
/// that breaks a rule, [`PriceError::OtherPlanVersion`] for a snapshot of another plan version.
pub fn price(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    lines: &[Line],
    snapshot: &Snapshot,
) -> Result<Priced, PriceError> {
    validate::request(plan, cover, event, lines)?;
    validate::snapshot(plan, snapshot)?;
    let mut run = Run::new(plan, cover, event, lines, Some(snapshot));
    run.steps();
    let (legs, grants) = legs::build(&mut run);
    let read = legs::read(&run);
    let lines: Vec<LinePrice> = run.lines.into_iter().map(finish).collect();
    let mut total = Breakdown::default();
    for line in &lines {
        total += line.breakdown;
    }
    Ok(Priced { lines, total, legs, grants, read })
}

/// The account with this key as it is before anything is posted to it: version 0, limit resolved into layers. `None`
/// if the plan has no such account, or the key does not fit its rule.
#[must_use]
pub fn open_account(plan: &PlanVersion, ground: Ground<'_>, key: &AccountKey) -> Option<Account> {
    let rule = plan.account(&key.code)?;
    let fits = rule.measure == key.measure && rule.scope == key.scope_kind && key.currency == ground.currency;
    fits.then(|| opening::open(plan, ground, rule, key.clone()))
}

/// The cuts that lack of room alone would make to a line: sub-limits on the allowed amount, times, days and pools. For
/// eligibility, which asks about room apart from every other reason.
pub(in crate::domain) fn room_for(
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    line: &Line,
    snapshot: &Snapshot,
) -> Vec<Cut> {
    let mut run = Run::new(plan, cover, event, std::slice::from_ref(line), Some(snapshot));
    // Waiting is its own reason; here it must not make a layer look empty.
    run.lines.iter_mut().for_each(|line| line.waits.clear());
    steps::run(Step::SublimitAllowed, &mut run);
    steps::run(Step::Pool, &mut run);
    run.lines.into_iter().flat_map(|line| line.cuts).collect()
}

fn finish(line: LineRun<'_>) -> LinePrice {
    let mut breakdown = line.parts;
    breakdown.payable = line.amount;
    let by_allowed: i64 = line
        .cuts
        .iter()
        .filter(|cut| cut.step == Step::SublimitAllowed)
        .map(|cut| cut.before_minor - cut.after_minor)
        .sum();
    let never_allowed = breakdown.writeoff + breakdown.noncovered + breakdown.room_cut + by_allowed;
    breakdown.allowed = breakdown.claimed - never_allowed;
    LinePrice { sequence: line.line.sequence, breakdown, cuts: line.cuts }
}
