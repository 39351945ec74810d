//! Writes down what time alone did to policies: lapsed, term over, term closed. Every reader sees it before, because it asks
//! the same question (`life.rs`); running late, twice or on several replicas changes nothing.

use std::sync::Arc;

use caremesh_db::{Error as DbError, Tx};
use caremesh_kernel::{MemberId, PolicyId};
use caremesh_mesh::{Action, CallContext, Touched};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::change::{Draft, met_another, saved};
use super::ending::release_from;
use super::life::{books, reminders_of, run_off, schedule};
use super::{App, Error, events};
use crate::domain::life::{Amount, EndorsementKind, Reminder, renews};
use crate::domain::plan::Jurisdiction;
use crate::domain::policy::PolicyState;
use crate::store::{Scope, life, policy, reminder};

/// Policies that are read at once.
const PAGE: u32 = 500;
/// Policies that are worked on at once: most of the time of each is waiting for the database.
const AT_ONCE: usize = 8;

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
        let each = page.into_iter().map(|(_, id)| age(app, context, id));
        let aged: Vec<bool> = stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await?;
        changed += aged.into_iter().filter(|changed| *changed).count();
    }
}

/// Writes down what time did to one policy; answers whether anything changed.
///
/// # Errors
/// What the store answers.
pub(crate) async fn age(app: &App, context: &CallContext, id: PolicyId) -> Result<bool, Error> {
    let grown: Arc<[MemberId]> = grown(app, context, id).await?.into();
    let (of_work, context) = (app.clone(), context.apart());
    let aged = app.db.write(&context, move |tx| {
        let (app, grown) = (of_work.clone(), Arc::clone(&grown));
        Box::pin(async move { write(&app, tx, id, &grown).await })
    });
    match aged.await {
        Ok(changed) => Ok(changed),
        Err(Error::Stale | Error::Collided) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Members of a term that is over who have grown out of the plan by its end. Opened before the transaction, because keys live
/// in another store; somebody who was erased has no age any more.
async fn grown(app: &App, context: &CallContext, id: PolicyId) -> Result<Vec<MemberId>, Error> {
    let found = policy::find(&app.db.read(context), app.db.kind(), &Scope::any(), id).await?;
    let Some(found) = found.filter(|found| found.policy.state == "ACTIVE") else { return Ok(Vec::new()) };
    let PolicyState::Expired { on, .. } = app.living(&found, app.clock.now())?.state else {
        return Ok(Vec::new());
    };
    let (plan, _) = app.plan_and_law(found.plan_version())?;
    let mut grown = Vec::new();
    for row in found.members.iter().filter(|row| row.ends_on == on) {
        match app.open_facts(context, row).await {
            Ok(facts) if renews(&plan.family, row.relation, facts.birth, on) => {}
            Ok(_) => grown.push(row.id),
            Err(Error::Store(caremesh_db::Error::KeyDestroyed)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(grown)
}

/// Sends what is to be sent today and was not, and says when to look again. The policy itself does not change.
async fn remind(tx: &Tx, before: &policy::Found, law: &Jurisdiction) -> Result<bool, Error> {
    let (today, id) = (law.zone.day_of(tx.now()), before.policy.id);
    let sent = reminder::sent(tx, id).await?;
    let due = |it: &Reminder| it.on <= today && today < it.until;
    let known = |it: &Reminder| sent.contains(&(it.kind.name().to_owned(), it.on.to_string()));
    let all = reminders_of(&books(before)?, law);
    let fresh: Vec<Reminder> = all.into_iter().filter(|it| due(it) && !known(it)).collect();
    let mut next = before.clone();
    schedule(&mut next, law, today)?;
    tx.emit(fresh.iter().map(|it| events::reminded(id, it.kind, tx.now())));
    if !fresh.is_empty() {
        tx.context().touched(Touched::new(before.policy.policyholder, id, Action::Read));
    }
    let rows: Vec<_> = fresh.iter().map(|it| (it.kind.name(), it.on)).collect();
    tx.apply(reminder::remember(&next.policy, &rows, tx.now())).await.map_err(sent_by_another)?;
    Ok(!fresh.is_empty())
}

/// Another replica's worker sends the same reminder, or the policy has just changed: the next round looks again.
fn sent_by_another(error: DbError) -> Error {
    match error {
        DbError::Duplicate { constraint } if constraint.contains("reminder") => Error::Stale,
        other => met_another(other),
    }
}

async fn write(app: &App, tx: &Tx, id: PolicyId, grown: &[MemberId]) -> Result<bool, Error> {
    let Some(before) = policy::find(tx, tx.kind(), &Scope::any(), id).await? else { return Ok(false) };
    let (_, law) = app.plan_and_law(before.quote.plan_version_id)?;
    let mut draft = Draft::new(&before, tx.now())?;
    let state = app.living(&before, tx.now())?.state;
    let nothing = Amount::default();
    let ran_off = run_off(&mut draft.next, law, law.zone.day_of(tx.now()));
    match state {
        PolicyState::Lapsed { on, .. } if before.policy.state == "ACTIVE" => {
            release_from(app, tx, id, None, on).await?;
            draft.end_cover(None, on, "LAPSED");
            draft.state(state);
            draft.terms("RUN_OFF");
            let (old, refunded) = (draft.books.agreement.clone(), draft.books.refunded);
            let new = old.lapsed(on, refunded);
            draft.agree(&new)?;
            let change = Amount { net: new.net() - old.net(), tax: new.tax - old.tax };
            draft.endorse(EndorsementKind::Lapse, (on, None), change, nothing);
        }
        PolicyState::Expired { on, .. } if before.policy.state == "ACTIVE" => {
            draft.state(state);
            draft.terms("RUN_OFF");
            draft.age_out(on, grown);
            draft.endorse(EndorsementKind::Expire, (on, None), nothing, nothing);
        }
        PolicyState::Lapsed { .. } | PolicyState::Cancelled { .. } | PolicyState::Expired { .. }
            if before.policy.acts_on.is_some_and(|day| day <= law.zone.day_of(tx.now())) =>
        {
            draft.terms("CLOSED");
        }
        _ if ran_off => {}
        _ if before.policy.state == "ACTIVE" => return remind(tx, &before, law).await,
        _ => return Ok(false),
    }
    schedule(&mut draft.next, law, law.zone.day_of(tx.now()))?;
    tx.apply(saved(tx, &before, &draft)?).await.map_err(met_another)?;
    Ok(true)
}
