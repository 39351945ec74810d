//! CancelPolicy: ends a policy before its time on its holder's wish. What was paid and is not earned goes back, less charges
//! and less the plan's money used and held; holds for events from the end of cover on are given back.

use caremesh_db::Tx;
use caremesh_kernel::{Date, Timestamp};
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::ending::{plan_money, release_from};
use super::policy::Policy;
use super::{App, Error, Once};
use crate::domain::life::{Amount, CancelReason, ChangeRefusal, Ending, EndorsementKind, check_cancellation};
use crate::domain::policy::LifeEvent;
use crate::store::Error as StoreError;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// Why.
    pub reason: CancelReason,
    /// First day without cover; the earliest possible where none is named.
    pub effective: Option<Date>,
}

/// Cancels, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], [`Error::Change`].
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
    let scope = app.scope(context).await?;
    change::run(app, context, scope, once, (input.target.clone(), input)).await
}

impl Decide for Input {
    fn decide<'t>(&'t self, app: &'t App, tx: &'t Tx, draft: Draft) -> BoxFuture<'t, Result<Draft, Error>> {
        Box::pin(self.cancelled(app, tx, draft))
    }
}

impl Input {
    async fn cancelled(&self, app: &App, tx: &Tx, mut draft: Draft) -> Result<Draft, Error> {
        let living = app.living(&draft.next, tx.now())?;
        must_be_in_force(living.state)?;
        let (plan, law) = app.plan_and_law(draft.next.plan_version())?;
        let (today, term) = (law.zone.day_of(tx.now()), draft.books.term);
        let bought = Timestamp::from_micros(draft.next.policy.created_at);
        let wish = (self.reason, self.effective);
        let on = check_cancellation(law, &law.zone, bought, wish, term, today)?;
        let id = draft.next.policy.id;
        release_from(app, tx, id, None, on).await?;
        let row = draft.next.terms.last().ok_or(StoreError::Corrupt("a policy without a term"))?;
        let (used, held) = plan_money(tx, &draft.plans(app)?, row.id, on).await?;
        let charges = plan.premium.retained_charges.iter().map(|charge| charge.amount_minor).sum();
        let refunded = draft.books.refunded;
        let before = draft.books.agreement.clone();
        let (after, refund) = before.cancelled(&Ending { effective: on, charges, used, held, refunded });
        let change = Amount { net: after.net() - before.net(), tax: after.tax - before.tax };
        let ended = living.state.after(LifeEvent::Cancel { on }).map_err(|_| ChangeRefusal::NotInForce)?;
        draft.agree(&after)?;
        draft.state(ended);
        draft.terms("RUN_OFF");
        draft.end_cover(None, on, "CANCELLED");
        draft.endorse(EndorsementKind::Cancel, (on, None), change, refund);
        Ok(draft)
    }
}
