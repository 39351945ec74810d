//! ChangePlan: another plan version for the rest of the last term, with a sum insured that it offers. Events before the day
//! keep the plan they had; accounts go on, their limits change with the segment. The premium for the days that are left is
//! prorated once.

use caremesh_db::Tx;
use caremesh_kernel::{Date, Money, PlanVersionId};
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::family::Facts;
use super::policy::Policy;
use super::relimit::{Limits, relimit};
use super::{App, Error, Offer, Once};
use crate::domain::life::{
    ChangeRefusal, EndorsementKind, check_family, check_from, check_plan_change, lowered, raised,
};
use crate::domain::plan::{PlanVersion, Relation};
use crate::store::{Scope, policy};

/// Under which rule the ledger books it.
const RULE: &str = "PLAN_CHANGED";

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// The plan version from then on.
    pub plan_version: PlanVersionId,
    /// The sum insured from then on.
    pub sum_insured: Money,
    /// First day for whose events it counts; today where none is named.
    pub from: Option<Date>,
}

/// Changes the plan, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], [`Error::Change`], [`Error::Offer`], [`Error::OtherCurrency`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Policy, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    // The contract is its holder's alone.
    let scope = Scope { family: false, ..app.scope(context).await? };
    let found = policy::find(&app.db.read(context), app.db.kind(), &scope, input.target.policy).await?;
    let family = app.all_facts(context, &found.ok_or(Error::NotFound)?).await?;
    let target = input.target.clone();
    change::run(app, context, scope, once, (target, Changing { input, family })).await
}

/// The change, with what was opened before the transaction, because keys live in another store.
struct Changing {
    input: Input,
    family: Vec<Facts>,
}

impl Decide for Changing {
    fn decide<'t>(&'t self, app: &'t App, tx: &'t Tx, draft: Draft) -> BoxFuture<'t, Result<Draft, Error>> {
        Box::pin(self.changed(app, tx, draft))
    }
}

impl Changing {
    async fn changed(&self, app: &App, tx: &Tx, mut draft: Draft) -> Result<Draft, Error> {
        must_be_in_force(app.living(&draft.next, tx.now())?.state)?;
        let segment = draft.segment()?.clone();
        let (old, law) = app.plan_and_law(segment.plan_version_id)?;
        let (new, _) = app.plan_and_law(self.input.plan_version)?;
        let (today, term) = (law.zone.day_of(tx.now()), draft.books.term);
        let from = check_from(self.input.from, term, segment.starts_on, today)?;
        let mut earlier = draft.next.segments.iter().filter(|row| row.term_id == segment.term_id);
        let began_here = earlier.any(|row| row.plan_version_id != old.id() && row.ends_on == from);
        if began_here {
            return Err(ChangeRefusal::Day.into());
        }
        self.check(&draft, [old, new], from)?;
        let before = Limits::of(&draft)?;
        let (layers, sum) = (draft.layers()?, self.input.sum_insured.minor);
        let more = sum - segment.sum_insured;
        let layers = match more {
            0 => layers,
            1.. => raised(&layers, more, from, term),
            _ => lowered(&layers, -more, from),
        };
        draft.cover_with(&layers)?;
        draft.begin_segment(from, |row| {
            (row.plan_version_id, row.sum_insured) = (new.id(), sum);
        })?;
        draft.of_plan(new);
        let offers = [(old, segment.sum_insured), (new, sum)];
        let (change, refund) = draft.reprice(law, offers, &self.family, (from, today))?;
        relimit(app, tx, &mut draft, &before, (from, RULE)).await?;
        draft.endorse(EndorsementKind::Plan, (from, None), change, refund);
        Ok(draft)
    }

    fn check(&self, draft: &Draft, [old, new]: [&PlanVersion; 2], from: Date) -> Result<(), Error> {
        if old.id() == new.id() {
            return Err(Error::Field { field: "plan_version_id".to_owned(), rule: "plan_version.differs" });
        }
        check_plan_change(old, new, true)?;
        if self.input.sum_insured.currency != new.currency {
            return Err(Error::OtherCurrency);
        }
        if !new.is_on_sale(from) {
            return Err(ChangeRefusal::OtherPlan("plan.on_sale").into());
        }
        if !new.sums_insured_minor.contains(&self.input.sum_insured.minor) {
            return Err(Error::Offer(Offer::SumInsured));
        }
        let family: Vec<(Relation, Date)> = draft
            .next
            .members
            .iter()
            .filter(|row| from < row.ends_on && row.starts_on < row.ends_on)
            .filter_map(|row| {
                let facts = self.family.iter().find(|facts| facts.member == row.id)?;
                Some((row.relation, facts.birth))
            })
            .collect();
        Ok(check_family(new, &family, from)?)
    }
}
