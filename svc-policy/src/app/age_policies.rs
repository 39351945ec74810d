//! Writes down what time alone did to policies: lapsed, term over, term closed. Every reader sees it before, because it asks
//! the same question (`life.rs`); running late, twice or on several replicas changes nothing.

use caremesh_db::Tx;
use caremesh_kernel::PolicyId;
use caremesh_mesh::CallContext;

use super::change::{Draft, met_another, saved};
use super::ending::release_from;
use super::life::acts_on;
use super::{App, Error};
use crate::domain::life::{Amount, EndorsementKind};
use crate::domain::policy::PolicyState;
use crate::store::{Scope, life, policy};

/// Policies that are read at once.
const PAGE: u32 = 500;

/// Looks at every policy whose day has come; answers how many changed.
///
/// # Errors
/// What the store answers. A policy that somebody else changes meanwhile is left for the next round.
pub async fn run(app: &App, context: &CallContext) -> Result<usize, Error> {
    let (today, mut after, mut changed) = (app.today_anywhere(), None, 0);
    loop {
        let page = life::acting(&app.db.read(context), today, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(changed) };
        after = Some(*last);
        for (_, id) in page {
            changed += usize::from(age(app, context, id).await?);
        }
    }
}

async fn age(app: &App, context: &CallContext, id: PolicyId) -> Result<bool, Error> {
    let of_work = app.clone();
    let aged = app.db.write(context, move |tx| {
        let app = of_work.clone();
        Box::pin(async move { write(&app, tx, id).await })
    });
    match aged.await {
        Ok(changed) => Ok(changed),
        Err(Error::Stale | Error::Collided) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn write(app: &App, tx: &Tx, id: PolicyId) -> Result<bool, Error> {
    let Some(before) = policy::find(tx, tx.kind(), &Scope::any(), id).await? else { return Ok(false) };
    let (_, law) = app.plan_and_law(before.quote.plan_version_id)?;
    let mut draft = Draft::new(&before, tx.now())?;
    let state = app.living(&before, tx.now())?.state;
    let nothing = Amount::default();
    match state {
        PolicyState::Lapsed { on, .. } if before.policy.state == "ACTIVE" => {
            release_from(app, tx, id, None, on).await?;
            draft.end_cover(None, on, "LAPSED");
            draft.state(state);
            draft.terms("RUN_OFF");
            draft.endorse(EndorsementKind::Lapse, (on, None), nothing, nothing);
        }
        PolicyState::Expired { on, .. } if before.policy.state == "ACTIVE" => {
            draft.state(state);
            draft.terms("RUN_OFF");
            draft.endorse(EndorsementKind::Expire, (on, None), nothing, nothing);
        }
        PolicyState::Lapsed { .. } | PolicyState::Cancelled { .. } | PolicyState::Expired { .. }
            if before.policy.acts_on.is_some_and(|day| day <= law.zone.day_of(tx.now())) =>
        {
            draft.terms("CLOSED");
        }
        _ => return Ok(false),
    }
    draft.next.policy.acts_on = acts_on(&draft.next, law)?;
    tx.apply(saved(tx, &before, &draft)?).await.map_err(met_another)?;
    Ok(true)
}
