//! Post: reserve, use, give back and grant, all or nothing, against the balances the caller priced on.
//!
//! One transaction of four round trips on PostgreSQL: BEGIN, one read, one batch, COMMIT. A caller that keeps losing
//! against others on the same term gets its turn, so that contention ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caremesh_db::{Answered, Replay, Tx};
use caremesh_kernel::{AccountId, EpisodeId, IdSource, PolicyId, PostingId, TermId, Timestamp};
use caremesh_mesh::policy::Role;
use caremesh_mesh::{Action as Done, CallContext, Touched};
use futures::future::BoxFuture;
use prost::Message;

use super::events;
use super::life::clocks;
use super::posting::{Command, Prepared, Tried, written};
use super::{App, Error, Once};
use crate::domain::account::{Account, AccountKey};
use crate::domain::ledger::{Action, Decision, Event, LedgerRefusal, Movement, Posting, Source};
use crate::domain::life::{Standing, standing};
use crate::domain::opening;
use crate::domain::relimit::open_in_term;
use crate::store::ledger::{self, DrawsAsked};

/// The service in whose name people with a role post: officers decide claims.
const OFFICERS_SERVICE: &str = "svc-claims";

/// Tries of one posting whose rows were taken by others between reading and writing. From the second try on the rows
/// are locked first, so that only the opening of new accounts can still collide.
const TRIES: u32 = 5;

/// What is to be posted.
#[derive(Clone, Debug)]
pub struct Input {
    /// Who asks.
    pub source: Source,
    /// Revision of the source's decision.
    pub revision: u32,
    /// The insured event.
    pub event: Event,
    /// What is done, in this order.
    pub movements: Vec<Movement>,
    /// The versions that were priced on.
    pub expected: BTreeMap<AccountId, i64>,
    /// The episode of care.
    pub episode: Option<EpisodeId>,
}

/// What was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its id.
    pub id: PostingId,
    /// The term it was posted to.
    pub term: TermId,
    /// The policy.
    pub policy: PolicyId,
    /// The posting as it was asked for, at the instant of booking.
    pub posting: Posting,
    /// The episode of care.
    pub episode: Option<EpisodeId>,
    /// What was written.
    pub decision: Decision,
    /// Every account that moved, as it is now.
    pub balances: Vec<Account>,
    /// When it was booked.
    pub at: Timestamp,
}

/// Posts, once per request_id.
///
/// # Errors
/// [`Error::Field`] when the source is another service's; [`Error::Ledger`] with the rule that refuses, and fresh balances where pricing again helps; [`Error::NoCover`],
/// [`Error::AlreadyPosted`], [`Error::NotYourTurn`]; what the store answers.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Posted, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    check_source(context, &input.source)?;
    check_no_grant(&input.movements)?;
    let command = input.command(app.ids.as_ref());
    let once = Arc::new(once);
    let mut outcome = Err(Error::Collided);
    for attempt in 0..TRIES {
        outcome = post_once(app, context, &once, &command, attempt > 0).await;
        if !matches!(outcome, Err(Error::Collided)) {
            break;
        }
    }
    if let Err(error) = &outcome
        && lost_against_others(error)
    {
        note_conflict(app, context, &command).await;
    }
    outcome
}

/// Nobody posts in another one's name: the source guards against posting twice, and reversals ask for it.
fn check_source(context: &CallContext, source: &Source) -> Result<(), Error> {
    let principal = context.principal();
    let own = principal.service() == source.service
        || (principal.has_role(Role::ClaimsOfficer) && source.service == OFFICERS_SERVICE);
    if own {
        return Ok(());
    }
    Err(Error::Field { field: "source.service".to_owned(), rule: "must be the calling service" })
}

/// Base, increase, bonus and roll-over are booked by what svc-policy itself does to a policy, never from outside.
fn check_no_grant(movements: &[Movement]) -> Result<(), Error> {
    let granted = movements.iter().find_map(|movement| match &movement.action {
        Action::Grant { grants, .. } => grants.first(),
        _ => None,
    });
    granted.map_or(Ok(()), |grant| Err(refusal(LedgerRefusal::GrantUnknown { account: grant.account.id() })))
}

async fn post_once<R, T>(
    app: &App,
    context: &CallContext,
    once: &Arc<Once<R, Posted, T>>,
    command: &Command,
    locked: bool,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (app_of_work, once_of_work, command) = (app.clone(), Arc::clone(once), command.clone());
    let answered = app.db.idempotent(
        context,
        &once.request_id,
        &once.request,
        move |tx| {
            let (app, once, command) = (app_of_work.clone(), Arc::clone(&once_of_work), command.clone());
            Box::pin(async move {
                let prepare = |view: &ledger::View, cover: &ledger::Cover, posting: Posting| {
                    prepare(&app, view, cover, posting, &command.keys)
                };
                let tried = command.attempt(tx, locked, prepare).await?;
                write(tx, &once, &command, tried).await
            })
        },
        replayed,
    );
    answered.await
}

async fn write<R, T>(
    tx: &Tx,
    once: &Once<R, Posted, T>,
    command: &Command,
    tried: Tried,
) -> Result<Answered<T>, Error>
where
    R: Message,
    T: Message + Default + 'static,
{
    let Tried { posting, decision, cover, view } = tried;
    let (id, term) = (posting.id, cover.term.id);
    let mut batch = ledger::batch(tx.kind(), &cover, &posting, command.episode.as_deref(), &decision);
    if view.turn.queued {
        batch.append(ledger::leave_queue(term, &posting.source));
    }
    tx.emit([events::benefit_posted(cover.policy, id, tx.now())]);
    tx.context().touched(Touched::new(cover.person, id, Done::Created));
    let posted = Posted {
        id,
        term,
        policy: cover.policy,
        at: posting.now,
        episode: command.episode.as_deref().and_then(|text| text.parse().ok()),
        balances: decision.accounts.iter().map(|change| change.account.clone()).collect(),
        posting,
        decision,
    };
    let answered = once.answered(id, 1, &posted);
    tx.answer(&answered)?;
    tx.apply(batch).await.map_err(written)?;
    Ok(answered)
}

/// Whoever posted may read the answer again; services and officers see every posting, so nothing is looked up.
fn replayed(context: &CallContext, replay: Replay) -> BoxFuture<'_, Result<(), Error>> {
    context.touched(Touched::read(None, replay.resource));
    Box::pin(async { Ok(()) })
}

/// Holds what the caller names against the plan: keys of accounts, and grants.
fn prepare(
    app: &App,
    view: &ledger::View,
    cover: &ledger::Cover,
    posting: Posting,
    keys: &[AccountKey],
) -> Result<Prepared, Error> {
    let plan = app.plans.version(cover.plan_version).ok_or(Error::NotFound)?;
    let plans = app.plan_segments(&cover.bought.plans)?;
    let mut openings = Vec::with_capacity(keys.len());
    for key in keys {
        let unknown = || refusal(LedgerRefusal::AccountUnknown { account: key.id() });
        opening::rule_for(plan, cover.ground(), &posting.event, key).ok_or_else(unknown)?;
        openings.push(open_in_term(&plans, cover.ground(), key).ok_or_else(unknown)?);
    }
    let posting =
        opening::complete_grants((&plans, plan), cover.ground(), &view.draws, posting).map_err(refusal)?;
    let overdue = overdue(app, cover, &posting)?;
    Ok(Prepared { posting, openings, overdue })
}

/// Whether a premium that was not paid leaves the day of the event without cover, as every reader of cover says it
/// (`life.rs`): a posting does not wait for the worker's round either.
fn overdue(app: &App, cover: &ledger::Cover, posting: &Posting) -> Result<bool, Error> {
    let Some(due) = cover.due.filter(|due| *due <= posting.event.date) else { return Ok(false) };
    let (_, law) = app.plan_and_law(cover.plan_version)?;
    let today = law.zone.day_of(posting.now);
    Ok(match standing(Some(due), cover.bought.days.end(), clocks(law), today) {
        Standing::InGrace { cover_ends, .. } | Standing::Lapsed { cover_ends } => {
            posting.event.date >= cover_ends
        }
        Standing::InForce | Standing::TermOver { .. } => false,
    })
}

fn refusal(refusal: LedgerRefusal) -> Error {
    Error::Ledger { refusal, balances: Vec::new() }
}

impl Input {
    fn command(self, ids: &dyn IdSource) -> Command {
        let mut accounts: BTreeSet<_> = self.expected.keys().copied().collect();
        let actions = || self.movements.iter().map(|movement| &movement.action);
        accounts.extend(actions().flat_map(Action::draws).map(|draw| draw.account.id()));
        accounts.extend(actions().flat_map(Action::grants).map(|grant| grant.account.id()));
        let query = ledger::Query {
            accounts: accounts.into_iter().collect(),
            holds: actions().filter_map(Action::hold).collect(),
            reversed: actions().filter_map(Action::reverses).collect(),
            restored: DrawsAsked::by(&self.event, actions().flat_map(Action::restores)),
            member: self.event.member,
            day: self.event.date,
            source: self.source.clone(),
        };
        let keys = self.opened_keys();
        let posting = Posting {
            id: PostingId::from_uuid(ids.uuid()),
            source: self.source,
            revision: self.revision,
            event: self.event,
            movements: self.movements,
            expected: self.expected,
            now: Timestamp::from_micros(0),
        };
        Command { posting, query, keys, episode: self.episode.map(|episode| episode.to_string()) }
    }

    /// Keys that this posting may open. What is given back goes where it came from, whatever the plan says by now.
    fn opened_keys(&self) -> Vec<AccountKey> {
        let draws = self.movements.iter().filter(|movement| movement.action.reverses().is_none());
        let drawn = draws.flat_map(|movement| movement.action.draws().map(|draw| draw.account.clone()));
        let granted =
            self.movements.iter().flat_map(|m| m.action.grants().iter().map(|grant| grant.account.clone()));
        let keys: BTreeSet<AccountKey> = drawn.chain(granted).collect();
        keys.into_iter().collect()
    }
}

fn lost_against_others(error: &Error) -> bool {
    matches!(error, Error::Collided | Error::Ledger { refusal: LedgerRefusal::Stale, .. })
}

/// Remembers that this source lost on its term. Failing to remember only costs fairness, so it fails nothing.
async fn note_conflict(app: &App, context: &CallContext, command: &Command) {
    let (member, day, source) = (command.query.member, command.query.day, command.query.source.clone());
    let noted = app.db.write(context, move |tx: &Tx| {
        let source = source.clone();
        Box::pin(async move { ledger::join_queue(tx, member, day, &source).await })
    });
    if let Err(error) = noted.await {
        tracing::warn!(error = %error, "a lost posting could not join the queue of its term");
    }
}
