//! The cover of a member on a day, as the engine sees it: what price, eligibility and balances share.

use caremesh_kernel::{Date, DateRange, MemberId, PersonId, PlanVersionId, PolicyId, Timestamp};
use caremesh_mesh::{CallContext, Touched};

use super::{App, Error};
use crate::domain::account::{Account, Snapshot};
use crate::domain::engine::{AccountNeed, Cover, CoveredMember, Event};
use crate::domain::plan::PlanVersion;
use crate::domain::relimit::open_in_term;
use crate::store::ledger::snapshot::{self, DrawsAsked};
use crate::store::{Error as StoreError, Scope, policy};

/// A member's cover, found for a day: of the term that the day falls in, or of the nearest one.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The policy.
    pub(crate) policy: PolicyId,
    /// Plan version of the segment.
    pub(crate) plan_version: PlanVersionId,
    /// The cover.
    pub(crate) cover: Cover,
    /// Which plan version holds from when in the term.
    pub(crate) plans: Vec<(DateRange, PlanVersionId)>,
    /// Whether the policy is in force now.
    pub(crate) in_force: bool,
}

impl Found {
    /// Whether the member is covered on the day and the policy pays.
    pub(crate) fn covers(&self, day: Date) -> bool {
        self.in_force && self.cover.covers(day)
    }
}

/// One segment of a term, as a member is covered in it.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    /// Its plan version.
    pub(crate) plan_version: PlanVersionId,
    /// The cover.
    pub(crate) cover: Cover,
    /// Which plan version holds from when in the term.
    pub(crate) plans: Vec<(DateRange, PlanVersionId)>,
}

/// A member's cover over all terms of the policy, segment by segment, ascending by days; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Covers {
    /// The policy.
    pub(crate) policy: PolicyId,
    /// The member's person.
    pub(crate) person: PersonId,
    /// The segments.
    pub(crate) stretches: Vec<Stretch>,
    /// Whether the policy pays for events on days of cover.
    pub(crate) in_force: bool,
    /// Today in the policy's zone.
    pub(crate) today: Date,
}

impl Covers {
    /// The segment that the day falls in, or the one nearest to it.
    pub(crate) fn nearest(&self, day: Date) -> Option<&Stretch> {
        self.stretches.iter().min_by_key(|stretch| distance(stretch.cover.segment, day))
    }

    /// The days of each segment on which the member is covered.
    pub(crate) fn days(&self) -> Vec<DateRange> {
        let days = |stretch: &Stretch| {
            let segment = stretch.cover.segment;
            segment.intersect(stretch.cover.member.covered).unwrap_or(DateRange::of_days(segment.start(), 0))
        };
        self.stretches.iter().map(days).collect()
    }
}

impl App {
    /// The member's cover, when the scope holds the member. Reports the member's person as touched.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such member or the caller may not know.
    pub(crate) async fn cover(
        &self,
        context: &CallContext,
        scope: &Scope,
        member: MemberId,
        day: Option<Date>,
    ) -> Result<Found, Error> {
        let covers = self.covers(context, scope, member).await?;
        let day = day.unwrap_or(covers.today);
        let Stretch { plan_version, cover, plans } =
            covers.nearest(day).cloned().ok_or(StoreError::Corrupt("a policy without a segment"))?;
        Ok(Found { policy: covers.policy, plan_version, cover, plans, in_force: covers.in_force })
    }

    /// The member's cover in every segment, when the scope holds the member. Reports the member's person as touched.
    ///
    /// # Errors
    /// As [`App::cover`].
    pub(crate) async fn covers(
        &self,
        context: &CallContext,
        scope: &Scope,
        member: MemberId,
    ) -> Result<Covers, Error> {
        let found = policy::find_by_member(&self.db.read(context), self.db.kind(), scope, member).await?;
        let found = found.ok_or(Error::NotFound)?;
        let row = found.members.first().ok_or(Error::NotFound)?;
        context.touched(Touched::read(row.person_id, found.policy.id));
        let facts = self.open_facts(context, row).await?;
        let (_, law) = self.plan_and_law(found.quote.plan_version_id)?;
        let now = self.clock.now();
        let living = self.living(&found, now)?;
        // Time alone may have ended the cover before the worker writes it down.
        let ends = living.cover_ends.map_or(row.ends_on, |ends| row.ends_on.min(ends)).max(row.starts_on);
        let member = CoveredMember {
            id: row.id,
            relation: row.relation,
            birth: facts.birth,
            covered: range(row.starts_on, ends)?,
            continuous_since: row.continuous_from,
            pre_existing: facts.declared,
            layers: Vec::new(),
            excluded: facts.excluded,
            waiting_waived: row.waiting_waived == 1,
        };
        let stretch = |segment: &policy::SegmentRow| {
            let cover = cover_of(&found, segment, member.clone())?;
            let term = found.terms.iter().find(|term| term.id == segment.term_id);
            let text = term.and_then(|term| term.plans.as_deref());
            let plans = policy::plans_of(text, segment.plan_version_id, cover.term_range)?;
            Ok::<_, Error>(Stretch { plan_version: segment.plan_version_id, cover, plans })
        };
        let stretches = found.segments.iter().map(stretch).collect::<Result<_, _>>()?;
        let (policy, person, today) = (found.policy.id, row.person_id, law.zone.day_of(now));
        Ok(Covers { policy, person, stretches, in_force: living.state.pays(), today })
    }

    /// The accounts of some needs as they stand now, or stood at an instant: stored where there is a row, otherwise as the
    /// plan opens them; with the earlier draws that decide about the event, if one is asked for.
    pub(crate) async fn snapshot(
        &self,
        context: &CallContext,
        (plan_version, plans, cover): Segmented<'_>,
        needs: &[AccountNeed],
        whose: Option<Whose<'_>>,
        as_of: Option<Timestamp>,
    ) -> Result<Snapshot, Error> {
        let wanted: Vec<_> = needs.iter().map(|need| need.opening.id()).collect();
        let asked = whose.map(|whose| whose.draws_on(needs));
        let (reader, kind) = (self.db.read(context), self.db.kind());
        let stored = match as_of {
            Some(instant) => snapshot::as_of(&reader, kind, &wanted, asked.as_ref(), instant).await?,
            None => snapshot::now(&reader, kind, &wanted, asked.as_ref(), self.clock.now()).await?,
        };
        let plans = self.plan_segments(plans)?;
        let opened = |need: &AccountNeed| {
            let several = plans.len() > 1;
            let in_term = several.then(|| open_in_term(&plans, cover.ground(), &need.opening.key)).flatten();
            in_term.unwrap_or_else(|| need.opening.clone())
        };
        let accounts = merged(needs, &stored.accounts, opened);
        Ok(Snapshot { plan_version, accounts, draws: stored.draws })
    }

    /// The plan versions of a term's segments.
    pub(crate) fn plan_segments(
        &self,
        segments: &[(DateRange, PlanVersionId)],
    ) -> Result<Vec<(DateRange, &PlanVersion)>, Error> {
        let plan = |(days, version): &(DateRange, PlanVersionId)| {
            self.plans.version(*version).map(|plan| (*days, plan)).ok_or(Error::NotFound)
        };
        segments.iter().map(plan).collect()
    }
}

/// The plan version of a segment, those of all segments of its term, and the cover in it.
pub(crate) type Segmented<'s> = (PlanVersionId, &'s [(DateRange, PlanVersionId)], &'s Cover);

impl Found {
    pub(crate) fn segmented(&self) -> Segmented<'_> {
        (self.plan_version, &self.plans, &self.cover)
    }
}

impl Stretch {
    pub(crate) fn segmented(&self) -> Segmented<'_> {
        (self.plan_version, &self.plans, &self.cover)
    }
}

/// The event that accounts are read for.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) member: MemberId,
    pub(crate) event: &'a Event,
}

impl Whose<'_> {
    fn draws_on(self, needs: &[AccountNeed]) -> DrawsAsked {
        let accounts = needs.iter().filter(|need| need.draws).map(|need| need.opening.id()).collect();
        let (event, cause) = (self.event.id, self.event.cause.clone());
        DrawsAsked { accounts, event, member: self.member, cause }
    }
}

/// In the order of their ids, as both lists already are.
fn merged(
    needs: &[AccountNeed],
    stored: &[Account],
    opened: impl Fn(&AccountNeed) -> Account,
) -> Vec<Account> {
    let found = |need: &AccountNeed| stored.iter().find(|account| account.key == need.opening.key).cloned();
    needs.iter().map(|need| found(need).unwrap_or_else(|| opened(need))).collect()
}

/// How far a day lies outside of a range, in days; 0 inside.
fn distance(days: DateRange, day: Date) -> i64 {
    if day < days.start() {
        day.days_until(days.start())
    } else {
        days.end().plus_days(-1).days_until(day).max(0)
    }
}

fn cover_of(
    found: &policy::Found,
    segment: &policy::SegmentRow,
    member: CoveredMember,
) -> Result<Cover, Error> {
    let term = found.terms.iter().find(|term| term.id == segment.term_id);
    let (Some(term), Some(first)) = (term, found.terms.first()) else {
        return Err(StoreError::Corrupt("a segment without its term").into());
    };
    let term_range = range(term.starts_on, term.ends_on)?;
    let layers = policy::layers_of(term.layers.as_deref(), segment.sum_insured, term_range, first.starts_on)?;
    Ok(Cover {
        policy: found.policy.id,
        term: term.id,
        first_term: first.id,
        term_range,
        segment: range(segment.starts_on, segment.ends_on)?,
        currency: found.policy.currency,
        continuous_since: first.starts_on,
        layers,
        member,
    })
}

fn range(start: Date, end: Date) -> Result<DateRange, Error> {
    DateRange::new(start, end).map_err(|_| StoreError::Corrupt("a range of days").into())
}
