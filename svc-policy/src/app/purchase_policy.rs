//! PurchasePolicy: accepts a quote. The policy, its term and its members get ids that follow from the quote, and the
//! quote's version is where purchase and payment meet: whichever commits second sees the first, so that exactly one of
//! them activates the policy and tells it once.

use std::sync::Arc;

use caremesh_db::keys::PersonKey;
use caremesh_db::{Answered, Replay, Tx};
use caremesh_kernel::{Date, PolicyId, QuoteId, Timestamp};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::family::MemberFacts;
use super::life::schedule;
use super::policy::Policy;
use super::quote::of_row;
use super::{App, Error, Once, events};
use crate::domain::engine::Excluded;
use crate::domain::policy::{NewPolicy, QuoteMember, Terms, purchase};
use crate::store::{Scope, life, policy, proposal, quote};

/// Tries of a purchase that met a payment of the same quote.
const TRIES: u32 = 5;

/// Accepts a quote, once per request_id and once per quote.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Purchase`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Policy, T>,
    id: QuoteId,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = app.scope(context).await?;
    let prepared = Arc::new(prepare(app, context, &scope, id).await?);
    let once = Arc::new(once);
    let mut outcome = Err(Error::Stale);
    for _ in 0..TRIES {
        outcome = try_once(app, context, &scope, &once, &prepared).await;
        if !matches!(outcome, Err(Error::Stale)) {
            break;
        }
    }
    outcome
}

/// What is opened and sealed before the transaction, because keys live in another store.
struct Prepared {
    id: QuoteId,
    members: Vec<QuoteMember>,
    facts: Vec<String>,
    key: PersonKey,
}

async fn prepare(app: &App, context: &CallContext, scope: &Scope, id: QuoteId) -> Result<Prepared, Error> {
    let (quote, _) = app.get_quote(context, scope, id).await?;
    let bought =
        purchase(&crate::domain::policy::Quote { policy: None, ..quote.clone() }, 12, true, quote.created)?;
    let terms = terms(app, context, id).await?;
    let mut facts = Vec::with_capacity(quote.members.len());
    for (member, new) in quote.members.iter().zip(&bought.members) {
        // The member may be known to the holder alone; the quote already checked that.
        let person = app.get_person(context, &Scope::any(), member.person).await?;
        let own = || terms.iter().filter(|one| one.person == member.person);
        let plain = MemberFacts {
            birth: person.profile.birth,
            declared: member.declared.clone(),
            load_bps: own().fold(0, |sum, one| sum.saturating_add(one.load_bps)),
            excluded: own().filter_map(|one| excluded(one, quote.start)).collect(),
        };
        facts.push(app.seal_facts(context, member.person, new.id, &plain).await?);
    }
    let key = app.keys.key(context, quote.policyholder).await?;
    Ok(Prepared { id, members: quote.members, facts, key })
}

/// The terms on which an underwriter has accepted the quote.
async fn terms(app: &App, context: &CallContext, id: QuoteId) -> Result<Vec<Terms>, Error> {
    let found = proposal::of_quote(&app.db.read(context), app.db.kind(), &Scope::any(), id).await?;
    match found {
        Some(row) => Ok(app.open_proposal(context, &row).await?.detail.terms),
        None => Ok(Vec::new()),
    }
}

fn excluded(terms: &Terms, start: Date) -> Option<Excluded> {
    let months = terms.months.map(|months| i32::try_from(months).unwrap_or(i32::MAX));
    let until = months.map(|months| start.plus_months(months));
    (!terms.excluded.is_empty()).then(|| Excluded { conditions: terms.excluded.clone(), until })
}

async fn try_once<R, T>(
    app: &App,
    context: &CallContext,
    scope: &Scope,
    once: &Arc<Once<R, Policy, T>>,
    prepared: &Arc<Prepared>,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let parts = (app.clone(), scope.clone(), Arc::clone(once), Arc::clone(prepared));
    let (again, seen) = (app.clone(), scope.clone());
    let answered = app.db.idempotent(
        context,
        &once.request_id,
        &once.request,
        move |tx| {
            let (app, scope, once, prepared) = parts.clone();
            Box::pin(async move { write(&app, tx, &scope, &once, &prepared).await })
        },
        move |context, replay| Box::pin(async move { replayed(&again, context, seen, replay).await }),
    );
    answered.await
}

async fn write<R, T>(
    app: &App,
    tx: &Tx,
    scope: &Scope,
    once: &Once<R, Policy, T>,
    prepared: &Prepared,
) -> Result<Answered<T>, Error>
where
    R: Message,
    T: Message + Default + 'static,
{
    let found = quote::find(tx, tx.kind(), scope, prepared.id).await?.ok_or(Error::NotFound)?;
    if found.quote.waits() {
        return Err(Error::NotAccepted);
    }
    let offer = of_row(&found.quote, prepared.members.clone())?;
    let (plan, law) = app.plan_and_law(offer.plan_version)?;
    let paid = !found.receipts.is_empty();
    let bought = purchase(&offer, plan.term_months, paid, tx.now())?;
    let row = policy_row(&found.quote, plan, law.zone.name(), &bought, tx.now());
    let members = member_rows(&bought, &prepared.facts);
    tell(tx, &offer, &bought);
    let mut whole = in_memory(row, found, &bought, members)?;
    schedule(&mut whole, law, law.zone.day_of(tx.now()))?;
    let mut batch = quote::advance(&whole.quote, Some(bought.id), None);
    batch.append(policy::insert(tx.kind(), &whole));
    batch.append(life::remember(&whole)?);
    let answer = app.policy(whole, &prepared.key, tx.now())?;
    let answered = once.answered(bought.id, 1, &answer);
    tx.answer(&answered)?;
    tx.apply(batch).await.map_err(met_a_payment)?;
    Ok(answered)
}

fn tell(tx: &Tx, offer: &crate::domain::policy::Quote, bought: &NewPolicy) {
    let created = |person| Touched::new(person, bought.id, Action::Created);
    tx.context().touched(created(offer.policyholder));
    offer
        .members
        .iter()
        .filter(|m| m.person != offer.policyholder)
        .for_each(|m| tx.context().touched(created(m.person)));
    let activated = bought.activated.then(|| events::policy_activated(bought.id, tx.now()));
    tx.emit([events::policy_purchased(bought.id, tx.now())].into_iter().chain(activated));
}

fn policy_row(
    offer: &quote::Row,
    plan: &crate::domain::plan::PlanVersion,
    zone: &str,
    bought: &NewPolicy,
    now: Timestamp,
) -> policy::Row {
    let lead = plan.carriers.iter().find(|carrier| carrier.leads).or(plan.carriers.first());
    policy::Row {
        id: bought.id,
        quote_id: offer.id,
        plan_id: plan.plan_id(),
        policyholder: offer.policyholder,
        state: bought.state.name().to_owned(),
        zone: zone.to_owned(),
        currency: offer.currency,
        lead_carrier: lead.map(|carrier| carrier.insurer.to_string()).unwrap_or_default(),
        activated_at: bought.activated.then(|| now.as_micros()),
        ended_on: None,
        acts_on: None,
        due_on: None,
        version: 1,
        created_at: now.as_micros(),
        updated_at: now.as_micros(),
    }
}

fn member_rows(bought: &NewPolicy, facts: &[String]) -> Vec<policy::MemberRow> {
    let row = |(position, (member, sealed)): (i64, (&crate::domain::policy::NewMember, &String))| {
        policy::MemberRow {
            id: member.id,
            policy_id: bought.id,
            position,
            person_id: member.person,
            relation: member.relation,
            starts_on: member.cover.start(),
            ends_on: member.cover.end(),
            continuous_from: member.continuous_from,
            end_reason: None,
            waiting_waived: 0,
            facts_sealed: sealed.clone(),
        }
    };
    (0_i64..).zip(bought.members.iter().zip(facts)).map(row).collect()
}

fn in_memory(
    row: policy::Row,
    found: quote::Found,
    bought: &NewPolicy,
    members: Vec<policy::MemberRow>,
) -> Result<policy::Found, Error> {
    let (start, end) = (bought.term.days.start(), bought.term.days.end());
    let term = policy::TermRow {
        id: bought.term.id,
        policy_id: bought.id,
        number: 1,
        starts_on: start,
        ends_on: end,
        state: "OPEN".to_owned(),
        premium: None,
        quote_id: None,
        layers: bought.term.layers.as_deref().map(policy::layers_text).transpose()?,
        plans: None,
        bonus_for: None,
    };
    let segment = policy::SegmentRow {
        term_id: bought.term.id,
        starts_on: start,
        ends_on: end,
        plan_version_id: found.quote.plan_version_id,
        sum_insured: found.quote.sum_insured,
    };
    let (quote, receipts) = (found.quote, found.receipts);
    Ok(policy::Found {
        policy: row,
        quotes: vec![quote.clone()],
        quote,
        terms: vec![term],
        segments: vec![segment],
        members,
        receipts,
        endorsements: Vec::new(),
        refunds: Vec::new(),
        recoveries: Vec::new(),
    })
}

/// A payment of this quote, or the same purchase through another node, was faster: look again.
fn met_a_payment(error: caremesh_db::Error) -> Error {
    match error {
        caremesh_db::Error::Stale { statement: "quote", .. } => Error::Stale,
        caremesh_db::Error::Duplicate { constraint } if constraint.contains("policy") => Error::Stale,
        other => other.into(),
    }
}

async fn replayed(app: &App, context: &CallContext, scope: Scope, replay: Replay) -> Result<(), Error> {
    let id: PolicyId = replay.resource.parse().map_err(|_| Error::NotFound)?;
    let found =
        policy::find(&app.db.read(context), app.db.kind(), &scope, id).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(found.policy.policyholder, id));
    Ok(())
}
