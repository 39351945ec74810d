//! Underwriting: a proposer submits a quote that the plan wants to be looked at; an underwriter claims it, asks, and accepts,
//! offers terms or declines; the proposer answers, agrees or takes it back. Only what is accepted can be bought and paid, with
//! the premium and the exclusions of the terms.

use std::sync::Arc;

use caremesh_db::keys::PersonKey;
use caremesh_db::{Answered, Batch, Error as DbError, Replay, Tx};
use caremesh_kernel::{ProposalId, QuoteId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::create_quote::{kept, refused};
use super::proposal::{Detail, Proposal, Said, Side, opened, sealed};
use super::{App, Error, Once, events};
use crate::domain::policy::{NotNow, ProposalEvent, ProposalState, Quote, Terms};
use crate::domain::premium::{self, Proposal as Asked};
use crate::store::{Scope, proposal, quote};

/// What is done with a proposal.
#[derive(Clone)]
pub enum Act {
    /// Submit a quote.
    Submit(QuoteId),
    /// Take it out of the queue.
    Claim,
    /// Ask the proposer.
    Ask(String),
    /// Answer the underwriter.
    Answer(String),
    /// Accept it: on no terms, or on terms that the proposer must agree to.
    Accept(Vec<Terms>),
    /// Decline it for reasons.
    Decline(Vec<String>),
    /// Agree to the terms, or take the proposal back.
    Reply(bool),
}

/// Submits a quote, once per request_id and once per quote.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Proposal`], [`Error::Purchase`].
pub async fn submit<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Proposal, T>,
    quote: QuoteId,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = Scope { family: false, ..app.scope(context).await? };
    let (offer, found) = app.get_quote(context, &scope, quote).await?;
    crate::domain::policy::purchase(&offer, 12, false, app.clock.now())?;
    if found.quote.review.as_deref() != Some("NEEDED") {
        return Err(Error::Proposal(NotNow(ProposalState::Accepted)));
    }
    let key = app.keys.key(context, offer.policyholder).await?;
    let id = ProposalId::from_uuid(app.ids.uuid());
    let row = proposal::Row {
        id,
        quote_id: quote,
        policyholder: offer.policyholder,
        state: ProposalState::Proposed.name().to_owned(),
        underwriter: None,
        detail_sealed: sealed(&key, id, &Detail::default())?,
        version: 1,
        created_at: 0,
        updated_at: 0,
    };
    let change = Change {
        app: app.clone(),
        once,
        scope,
        id,
        act: Act::Submit(quote),
        key,
        fresh: Some(row),
        offer: None,
    };
    run(context, change).await
}

/// Does something with a proposal, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Proposal`], [`Error::Stale`], [`Error::Field`].
pub async fn act<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Proposal, T>,
    id: ProposalId,
    act: Act,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = Scope { family: false, ..app.scope(context).await? };
    let found = proposal::find(&app.db.read(context), app.db.kind(), &scope, id).await?;
    let found = found.ok_or(Error::NotFound)?;
    let key = app.keys.key(context, found.policyholder).await?;
    let terms = match &act {
        Act::Accept(terms) => terms.clone(),
        _ => opened(&key, &found)?.detail.terms,
    };
    let offer = match &act {
        Act::Accept(_) | Act::Reply(true) => Some(offer_on(app, context, found.quote_id, &terms).await?),
        _ => None,
    };
    let change = Change { app: app.clone(), once, scope, id, act, key, fresh: None, offer };
    run(context, change).await
}

/// The quote with the premium that the terms make it.
async fn offer_on(
    app: &App,
    context: &CallContext,
    id: QuoteId,
    terms: &[Terms],
) -> Result<(Quote, quote::Row), Error> {
    let (mut offer, found) = app.get_quote(context, &Scope::any(), id).await?;
    let (plan, law) = app.plan_and_law(offer.plan_version)?;
    let insured = |one: &Terms| offer.members.iter().any(|member| member.person == one.person);
    if !terms.iter().all(insured) {
        return Err(Error::Field { field: "terms.person_id".to_owned(), rule: "terms.members" });
    }
    let mut members = app.proposed(context, &Scope::any(), offer.policyholder, &offer.members).await?;
    for (member, who) in members.iter_mut().zip(&offer.members) {
        let loads = terms.iter().filter(|one| one.person == who.person).map(|one| one.load_bps);
        member.load_bps = loads.fold(0, u32::saturating_add);
    }
    let instalments = u32::try_from(offer.premium.instalments.len()).unwrap_or(1);
    let sum_insured_minor = offer.sum_insured.minor;
    let asked = Asked { members, sum_insured_minor, start: offer.start, instalments };
    offer.premium = kept(&premium::quote(plan, law, &asked).map_err(refused)?, &offer.members);
    Ok((offer, found.quote))
}

struct Change<R, T> {
    app: App,
    once: Once<R, Proposal, T>,
    scope: Scope,
    id: ProposalId,
    act: Act,
    key: PersonKey,
    fresh: Option<proposal::Row>,
    offer: Option<(Quote, quote::Row)>,
}

async fn run<R, T>(context: &CallContext, change: Change<R, T>) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let change = Arc::new(change);
    let (of_work, again) = (Arc::clone(&change), Arc::clone(&change));
    let answered = change.app.db.idempotent(
        context,
        &change.once.request_id,
        &change.once.request,
        move |tx| {
            let change = Arc::clone(&of_work);
            Box::pin(async move { change.write(tx).await })
        },
        move |context, replay| Box::pin(async move { again.replayed(context, replay).await }),
    );
    answered.await
}

impl<R: Message, T: Message + Default + 'static> Change<R, T> {
    async fn write(&self, tx: &Tx) -> Result<Answered<T>, Error> {
        let now = tx.now().as_micros();
        let (row, mut batch) = match &self.fresh {
            Some(fresh) => {
                let row = proposal::Row { created_at: now, updated_at: now, ..fresh.clone() };
                let batch = proposal::insert(tx.kind(), &row);
                (row, batch)
            }
            None => {
                let found = proposal::find(tx, tx.kind(), &self.scope, self.id).await?;
                let row = self.moved(tx, &found.ok_or(Error::NotFound)?)?;
                let batch = proposal::update(tx.kind(), &row);
                (row, batch)
            }
        };
        if row.state == ProposalState::Accepted.name() {
            batch.append(self.accepted()?);
        }
        tx.context().touched(Touched::new(row.policyholder, row.id, Action::Changed));
        tx.emit([events::proposal_changed(row.id, tx.now())]);
        let answer = opened(&self.key, &row)?;
        let answered = self.once.answered(row.id, row.version, &answer);
        tx.answer(&answered)?;
        tx.apply(batch).await.map_err(met_another)?;
        Ok(answered)
    }

    /// The proposal after the act. Whoever has claimed it is the only one who goes on with it.
    fn moved(&self, tx: &Tx, row: &proposal::Row) -> Result<proposal::Row, Error> {
        let before = opened(&self.key, row)?;
        let me = self.app.secrets.blind_index("proposal.underwriter", &tx.context().principal().caller_key());
        let mine = row.underwriter.as_ref().is_none_or(|claimed| *claimed == me);
        let of_underwriter = matches!(self.act, Act::Ask(_) | Act::Accept(_) | Act::Decline(_));
        if of_underwriter && !mine {
            return Err(Error::Proposal(NotNow(before.state)));
        }
        let mut detail = before.detail.clone();
        let says = |side, text: &String| Said { side, text: text.clone(), at: tx.now().as_micros() };
        let event = match &self.act {
            Act::Submit(_) | Act::Claim => ProposalEvent::Claim,
            Act::Ask(text) => {
                detail.said.push(says(Side::Underwriter, text));
                ProposalEvent::Ask
            }
            Act::Answer(text) => {
                detail.said.push(says(Side::Proposer, text));
                ProposalEvent::Answer
            }
            Act::Accept(terms) if terms.is_empty() => ProposalEvent::Accept,
            Act::Accept(terms) => {
                detail.terms.clone_from(terms);
                ProposalEvent::Offer
            }
            Act::Decline(reasons) => {
                detail.reasons.clone_from(reasons);
                ProposalEvent::Decline
            }
            Act::Reply(true) => ProposalEvent::Agree,
            Act::Reply(false) => ProposalEvent::Withdraw,
        };
        let state = before.state.after(event).map_err(Error::Proposal)?;
        let claims = event == ProposalEvent::Claim;
        Ok(proposal::Row {
            state: state.name().to_owned(),
            underwriter: if claims { Some(me) } else { row.underwriter.clone() },
            detail_sealed: sealed(&self.key, row.id, &detail)?,
            version: row.version + 1,
            updated_at: tx.now().as_micros(),
            ..row.clone()
        })
    }

    /// What an acceptance does to the quote: it can be bought, at the premium of the terms.
    fn accepted(&self) -> Result<Batch, Error> {
        let Some((offer, row)) = &self.offer else { return Ok(Batch::new()) };
        let premium = quote::premium_text(&offer.premium)?;
        Ok(quote::accept(row, &premium, offer.premium.total))
    }

    async fn replayed(&self, context: &CallContext, replay: Replay) -> Result<(), Error> {
        let id: ProposalId = replay.resource.parse().map_err(|_| Error::NotFound)?;
        let found = proposal::find(&self.app.db.read(context), self.app.db.kind(), &self.scope, id).await?;
        context.touched(Touched::read(found.ok_or(Error::NotFound)?.policyholder, id));
        Ok(())
    }
}

/// Somebody else was faster; or the quote was submitted before.
fn met_another(error: DbError) -> Error {
    match error {
        DbError::Stale { statement: "proposal" | "quote", .. } => Error::Stale,
        DbError::Duplicate { constraint } if constraint.contains("proposal") => {
            Error::Proposal(NotNow(ProposalState::Proposed))
        }
        other => other.into(),
    }
}
