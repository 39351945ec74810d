//! Price: what the plan pays for the lines of an event, and the legs that would spend it. No side effect. A stay over the
//! end of a term or segment is priced in each of them by its own rules. The snapshots that a price was computed from go
//! out sealed (`sealed.rs`), and give the same price again for ever.

use caremesh_kernel::{Currency, DateRange, MemberId, Timestamp};
use caremesh_mesh::CallContext;

use super::cover::{Covers, Stretch, Whose};
use super::sealed::{Facts, SealedSnapshot};
use super::{App, Error};
use crate::domain::account::Snapshot;
use crate::domain::engine::{
    self, Breakdown, Event, Line, LinePrice, Portion, PriceError, Priced, ReadVersion, carry_over,
    check_lines, combine, split_by_crossing, uncovered,
};
use crate::domain::plan::PlanVersion;
use crate::store::Error as StoreError;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Whose event it is.
    pub member: MemberId,
    /// The event.
    pub event: Event,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Currency of every amount.
    pub currency: Option<Currency>,
    /// Price against these snapshots: one for each part of the price that they came with, in its order. Empty: none.
    pub snapshots: Vec<SealedSnapshot>,
    /// Price against the balances as they were known then.
    pub as_of: Option<Timestamp>,
    /// Check request and cover only.
    pub validate_only: bool,
}

/// A price with the snapshots it was computed from.
#[derive(Clone, Debug)]
pub struct Price {
    /// Per line, ascending by sequence: the sum of its parts.
    pub lines: Vec<LinePrice>,
    /// Sums over the lines.
    pub total: Breakdown,
    /// One for each segment that pays, ascending by days; at least one.
    pub parts: Vec<Part>,
    /// Currency of all amounts.
    pub currency: Currency,
}

/// What one segment of a term pays.
#[derive(Clone, Debug)]
pub struct Part {
    /// The event's first day in the segment: the event date to post this part with.
    pub event: Event,
    /// Days of the segment on which the member is covered.
    pub days: DateRange,
    /// Its lines, or shares of lines.
    pub priced: Priced,
    /// What it was computed from.
    pub snapshot: SealedSnapshot,
    /// The versions to post with: of every account that the price relied on.
    pub expected: Vec<ReadVersion>,
}

/// The price; none when only the request was to be checked.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NoCover`], [`Error::Line`], [`Error::OtherCurrency`], [`Error::Snapshot`].
pub async fn run(app: &App, context: &CallContext, input: &Input) -> Result<Option<Price>, Error> {
    let scope = app.scope(context).await?;
    let covers = app.covers(context, &scope, input.member).await?;
    let nearest =
        covers.nearest(input.event.date).ok_or(StoreError::Corrupt("a policy without a segment"))?;
    let currency = nearest.cover.currency;
    if input.currency.is_some_and(|asked| asked != currency) {
        return Err(Error::OtherCurrency);
    }
    if !input.snapshots.is_empty() {
        return priced_again(app, context, &covers, input).await.map(Some);
    }
    if !covers.in_force {
        return Err(Error::NoCover);
    }
    check_lines(&input.lines).map_err(price_error)?;
    let (plan, _) = app.plan_and_law(nearest.plan_version)?;
    let crossing = plan.crossing_rule;
    let portions = split_by_crossing(crossing, &input.event, &input.lines, &covers.days());
    let (open, rest) = opened(app, &covers, portions)?;
    if input.validate_only {
        let checked = open.iter().try_for_each(|one| one.needs().map(drop));
        return checked.map_err(price_error).map(|()| None);
    }
    let mut computed: Vec<(Priced, Snapshot)> = Vec::with_capacity(open.len());
    for one in &open {
        let needs = one.needs().map_err(price_error)?;
        let whose = Whose { member: input.member, event: &input.event };
        let read = app.snapshot(context, one.stretch.segmented(), &needs, Some(whose), input.as_of).await?;
        let who = (&input.event, input.member);
        let left =
            computed.iter().fold(read, |later, (earlier, before)| carry_over(earlier, before, who, later));
        computed.push((one.price(&left).map_err(price_error)?, left));
    }
    let mut parts = Vec::with_capacity(open.len());
    for (index, (one, (priced, snapshot))) in open.iter().zip(computed).enumerate() {
        let facts = Facts {
            person: covers.person,
            event: (input.event.id, input.event.cause.clone()),
            cover: one.stretch.cover.clone(),
            draws: snapshot.draws.clone(),
            crossing,
            part: index,
            parts: open.len(),
        };
        let sealed = app.seal_snapshot(context, &facts, snapshot).await?;
        parts.push(part(one, priced, sealed));
    }
    Ok(Some(whole(parts, &rest, currency)))
}

/// One portion with the plan and cover that price it.
struct Open<'a> {
    portion: Portion,
    stretch: &'a Stretch,
    plan: &'a PlanVersion,
    days: DateRange,
}

impl Open<'_> {
    fn needs(&self) -> Result<Vec<engine::AccountNeed>, PriceError> {
        engine::accounts_needed(self.plan, &self.stretch.cover, &self.portion.event, &self.portion.lines)
    }

    fn price(&self, snapshot: &Snapshot) -> Result<Priced, PriceError> {
        let Portion { event, lines, .. } = &self.portion;
        engine::price(self.plan, &self.stretch.cover, event, lines, snapshot)
    }
}

/// The portions that a segment prices, and the lines that none does.
fn opened<'a>(
    app: &'a App,
    covers: &'a Covers,
    portions: Vec<Portion>,
) -> Result<(Vec<Open<'a>>, Vec<Line>), Error> {
    let (mut open, mut rest) = (Vec::new(), Vec::new());
    for portion in portions {
        let Some(stretch) = portion.segment.and_then(|index| covers.stretches.get(index)) else {
            rest = portion.lines;
            continue;
        };
        let (plan, _) = app.plan_and_law(stretch.plan_version)?;
        let days = stretch.cover.segment.intersect(stretch.cover.member.covered);
        let days = days.ok_or(Error::NoCover)?;
        open.push(Open { portion, stretch, plan, days });
    }
    if open.is_empty() { Err(Error::NoCover) } else { Ok((open, rest)) }
}

/// Every account that was read is relied on, also one without a row on which nothing is drawn.
fn part(one: &Open<'_>, priced: Priced, snapshot: SealedSnapshot) -> Part {
    let expected = priced.read.clone();
    Part { event: one.portion.event.clone(), days: one.days, priced, snapshot, expected }
}

fn whole(parts: Vec<Part>, rest: &[Line], currency: Currency) -> Price {
    let rest = uncovered(rest);
    let (lines, total) = combine(parts.iter().map(|part| &part.priced).chain([&rest]));
    Price { lines, total, parts, currency }
}

/// The same snapshots, the same plan versions, the same pure functions: the same price.
async fn priced_again(
    app: &App,
    context: &CallContext,
    covers: &Covers,
    input: &Input,
) -> Result<Price, Error> {
    let mut opened_facts = Vec::with_capacity(input.snapshots.len());
    for (index, sealed) in input.snapshots.iter().enumerate() {
        let facts = app.open_snapshot(context, covers.person, sealed).await?;
        let ours = facts.person == covers.person && facts.cover.member.id == input.member;
        let same_event = facts.event == (input.event.id, input.event.cause.clone());
        if !ours || !same_event || (facts.part, facts.parts) != (index, input.snapshots.len()) {
            return Err(Error::Snapshot);
        }
        opened_facts.push(facts);
    }
    let then = Covers {
        stretches: opened_facts
            .iter()
            .zip(&input.snapshots)
            .map(|(facts, sealed)| Stretch {
                plan_version: sealed.plan_version,
                cover: facts.cover.clone(),
                plans: Vec::new(),
            })
            .collect(),
        ..covers.clone()
    };
    let first = opened_facts.first().ok_or(Error::Snapshot)?;
    check_lines(&input.lines).map_err(price_error)?;
    let portions = split_by_crossing(first.crossing, &input.event, &input.lines, &then.days());
    let (open, rest) = opened(app, &then, portions)?;
    if open.len() != input.snapshots.len() {
        return Err(Error::Snapshot);
    }
    let mut parts = Vec::with_capacity(open.len());
    for (one, (facts, sealed)) in open.iter().zip(opened_facts.iter().zip(&input.snapshots)) {
        let snapshot = Snapshot {
            plan_version: sealed.plan_version,
            accounts: sealed.accounts.clone(),
            draws: facts.draws.clone(),
        };
        parts.push(part(one, one.price(&snapshot).map_err(price_error)?, sealed.clone()));
    }
    Ok(whole(parts, &rest, first.cover.currency))
}

/// What the engine refuses, as a use case says it.
pub(crate) fn price_error(error: PriceError) -> Error {
    match error {
        PriceError::NoCover { .. } => Error::NoCover,
        PriceError::Invalid { line, field, rule } => Error::Line { line, field, rule },
        PriceError::OtherPlanVersion { .. } => Error::Snapshot,
    }
}
