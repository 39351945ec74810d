//! Takes a bonus back that a late claim has spoilt: a term was given it because the one before had no claim, and a claim for
//! that one has been paid since. What of the bonus is used by then is overdrawn and recovered. Running late or twice changes
//! nothing: a bonus is taken back once.

use caremesh_db::Tx;
use caremesh_kernel::PolicyId;
use caremesh_mesh::CallContext;

use super::change::{Draft, met_another, saved};
use super::life::schedule;
use super::relimit::{Limits, relimit};
use super::{App, Error};
use crate::domain::account::LayerKind;
use crate::domain::engine::CoverLayer;
use crate::domain::life::{Amount, EndorsementKind, next_bonus, sum_on, without_bonus};
use crate::store::policy::TermRow;
use crate::store::{Error as StoreError, Scope, life, policy};

/// Policies of one round.
const MOST: u32 = 200;
/// Under which rule the ledger books it.
const RULE: &str = "BONUS_TAKEN_BACK";

/// Looks for spoilt bonuses; answers how many were taken back.
///
/// # Errors
/// What the store answers. A policy that somebody else changes meanwhile is left for the next round.
pub async fn run(app: &App, context: &CallContext) -> Result<usize, Error> {
    let mut taken = 0;
    for id in life::spoilt_bonuses(&app.db.read(context), MOST).await? {
        let of_work = app.clone();
        let one = app.db.write(context, move |tx| {
            let app = of_work.clone();
            Box::pin(async move { write(&app, tx, id).await })
        });
        match one.await {
            Ok(()) => taken += 1,
            Err(Error::Stale | Error::Collided) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

async fn write(app: &App, tx: &Tx, id: PolicyId) -> Result<(), Error> {
    let before = policy::find(tx, tx.kind(), &Scope::any(), id).await?.ok_or(Error::NotFound)?;
    let mut draft = Draft::new(&before, tx.now())?;
    let place = draft.next.terms.iter().position(|term| term.bonus_for.is_some());
    let place = place.ok_or(Error::Stale)?;
    let by = undeserved(app, &draft, place)?;
    draft.next.terms[place].bonus_for = None;
    let from = draft.next.terms.last().ok_or(StoreError::Corrupt("a policy without a term"))?.starts_on;
    let limits = Limits::of(&draft)?;
    let layers = without_bonus(&draft.layers()?, by, from);
    draft.cover_with(&layers)?;
    relimit(app, tx, &mut draft, &limits, (from, RULE)).await?;
    draft.endorse(EndorsementKind::Bonus, (from, None), Amount::default(), Amount::default());
    let (_, law) = app.plan_and_law(before.quote.plan_version_id)?;
    schedule(&mut draft.next, law, law.zone.day_of(tx.now()))?;
    tx.apply(saved(tx, &before, &draft)?).await.map(drop).map_err(met_another)
}

/// What of a term's bonus it would not have been given after a claim.
fn undeserved(app: &App, draft: &Draft, place: usize) -> Result<i64, Error> {
    let corrupt = || Error::from(StoreError::Corrupt("a bonus without its terms"));
    let (term, prior) =
        (&draft.next.terms[place], place.checked_sub(1).map(|prior| &draft.next.terms[prior]));
    let prior = prior.ok_or_else(corrupt)?;
    let layers = |term: &TermRow| -> Result<Vec<CoverLayer>, Error> {
        term.layers.as_deref().map_or(Ok(Vec::new()), |text| {
            serde_json::from_str(text).map_err(|_| StoreError::Corrupt("policy_term.layers").into())
        })
    };
    let segment = draft.next.segments.iter().find(|row| row.term_id == term.id).ok_or_else(corrupt)?;
    let (plan, _) = app.plan_and_law(segment.plan_version_id)?;
    let (now, then) = (layers(term)?, layers(prior)?);
    let bonus = |layers: &[CoverLayer]| -> i64 {
        layers.iter().filter(|layer| layer.kind == LayerKind::Bonus).map(|layer| layer.amount_minor).sum()
    };
    let after_claim = next_bonus(plan.bonus.as_ref(), bonus(&then), sum_on(&now, term.starts_on), true);
    Ok((bonus(&now) - after_claim).max(0))
}
