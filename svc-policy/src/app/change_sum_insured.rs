//! ChangeSumInsured: raises or lowers the sum insured of the last term for events from a day on. More is a layer of its own
//! that waits anew; less is taken off the youngest layer first, and what is used or held beyond it is recovered. The
//! difference in premium is prorated once by days of the actual term.

use caremesh_db::Tx;
use caremesh_kernel::{Date, Money};
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::family::Facts;
use super::policy::Policy;
use super::relimit::{Limits, relimit};
use super::{App, Error, Offer, Once};
use crate::domain::life::{EndorsementKind, check_from, lowered, raised};
use crate::store::{Scope, policy};

/// Under which rule the ledger books it.
const RULE: &str = "SUM_INSURED_CHANGED";

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// The sum insured from then on.
    pub sum_insured: Money,
    /// First day for whose events it counts; today where none is named.
    pub from: Option<Date>,
}

/// Changes the sum insured, once per request_id.
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
        let (plan, law) = app.plan_and_law(segment.plan_version_id)?;
        let (today, term, asked) = (law.zone.day_of(tx.now()), draft.books.term, self.input.sum_insured);
        if asked.currency != plan.currency {
            return Err(Error::OtherCurrency);
        }
        if !plan.sums_insured_minor.contains(&asked.minor) {
            return Err(Error::Offer(Offer::SumInsured));
        }
        if asked.minor == segment.sum_insured {
            return Err(Error::Field { field: "sum_insured".to_owned(), rule: "sum_insured.differs" });
        }
        let from = check_from(self.input.from, term, segment.starts_on, today)?;
        let before = Limits::of(&draft)?;
        let (layers, more) = (draft.layers()?, asked.minor - segment.sum_insured);
        let layers = if more > 0 { raised(&layers, more, from, term) } else { lowered(&layers, -more, from) };
        draft.cover_with(&layers)?;
        draft.begin_segment(from, |row| row.sum_insured = asked.minor)?;
        let offers = [(plan, segment.sum_insured), (plan, asked.minor)];
        let (change, refund) = draft.reprice(law, offers, &self.family, (from, today))?;
        relimit(app, tx, &mut draft, &before, (from, RULE)).await?;
        draft.endorse(EndorsementKind::SumInsured, (from, None), change, refund);
        Ok(draft)
    }
}
