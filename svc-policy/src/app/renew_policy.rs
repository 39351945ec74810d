//! RenewPolicy: an offer for the next term of a policy. It becomes that term when its first premium is received, before the
//! term ends or in the renewal grace; continuity is kept, and the days between are not covered.

use std::sync::Arc;

use caremesh_db::{Answered, Replay, Tx};
use caremesh_kernel::{Date, Money, PlanVersionId, QuoteId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::change::{Target, must_be_in_force};
use super::create_quote::{kept, refused, rows};
use super::life::books;
use super::{App, Error, Once};
use crate::domain::life::{ChangeRefusal, check_family, check_plan_change, check_renewal, renews};
use crate::domain::plan::{Jurisdiction, PlanVersion};
use crate::domain::policy::{PolicyState, Quote, QuoteMember};
use crate::domain::premium::{self, PremiumError, Proposal, ProposedMember};
use crate::store::{Error as StoreError, Scope, policy, quote};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// How many instalments.
    pub instalments: u32,
    /// The plan version of the next term; the newest of the present plan where none is named.
    pub plan_version: Option<PlanVersionId>,
    /// The sum insured of the next term; the present one where none is named.
    pub sum_insured: Option<Money>,
}

/// Offers the next term, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], [`Error::Change`], [`Error::Offer`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Quote, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = app.scope(context).await?;
    let offer = offer(app, context, &scope, &input).await?;
    let (row, members) = rows(app, context, &offer).await?;
    let row = quote::Row { renews_policy_id: Some(input.target.policy), ..row };
    let change = Arc::new(Change { once, offer, row, members });
    let of_work = Arc::clone(&change);
    let (again, seen) = (app.clone(), scope.clone());
    let answered = app.db.idempotent(
        context,
        &change.once.request_id,
        &change.once.request,
        move |tx| {
            let change = Arc::clone(&of_work);
            Box::pin(async move { change.write(tx).await })
        },
        move |context, replay| Box::pin(async move { replayed(&again, context, seen, replay).await }),
    );
    answered.await
}

struct Change<R, T> {
    once: Once<R, Quote, T>,
    offer: Quote,
    row: quote::Row,
    members: Vec<quote::MemberRow>,
}

impl<R: Message, T: Message + Default + 'static> Change<R, T> {
    async fn write(&self, tx: &Tx) -> Result<Answered<T>, Error> {
        tx.context().touched(Touched::new(self.offer.policyholder, self.offer.id, Action::Created));
        let answered = self.once.answered(self.offer.id, 1, &self.offer);
        tx.answer(&answered)?;
        tx.apply(quote::insert(tx.kind(), &self.row, self.offer.premium.total, &self.members)).await?;
        Ok(answered)
    }
}

async fn offer(app: &App, context: &CallContext, scope: &Scope, input: &Input) -> Result<Quote, Error> {
    let found = policy::find(&app.db.read(context), app.db.kind(), scope, input.target.policy).await?;
    let found = found.ok_or(Error::NotFound)?;
    if input.target.etag.as_ref().is_some_and(|etag| *etag != found.policy.version.to_string()) {
        return Err(Error::Stale);
    }
    let (plan, law) = app.plan_and_law(found.plan_version())?;
    let (now, books) = (app.clock.now(), books(&found)?);
    let state = app.living(&found, now)?.state;
    if !matches!(state, PolicyState::Expired { .. }) {
        must_be_in_force(state)?;
    }
    let (start, today) = (books.term.end(), law.zone.day_of(now));
    check_renewal(law, books.term, books.agreement.next_due().is_some(), today)?;
    let next = match input.plan_version {
        Some(version) => app.plan_and_law(version)?.0,
        None => next_version(app, plan, start),
    };
    check_plan_change(plan, next, false)?;
    let (members, people) = who_stays(app, context, &found, next, start).await?;
    let sum_insured = found.segments.last().map(|segment| segment.sum_insured);
    let present = sum_insured.ok_or(StoreError::Corrupt("a policy without a segment"))?;
    if input.sum_insured.is_some_and(|sum| sum.currency != next.currency) {
        return Err(Error::OtherCurrency);
    }
    let sum_insured_minor = input.sum_insured.map_or(present, |sum| sum.minor);
    let chosen = input.plan_version.is_some() || input.sum_insured.is_some();
    if chosen {
        let family: Vec<_> = people.iter().map(|who| (who.relation, who.birth)).collect();
        check_family(next, &family, start)?;
    }
    let proposal = Proposal { members: people, sum_insured_minor, start, instalments: input.instalments };
    let premium = premium::renewal(next, law, &proposal)
        .map_err(|error| if chosen { not_to_be_had(error) } else { not_offered(error) })?;
    Ok(Quote {
        id: QuoteId::from_uuid(app.ids.uuid()),
        plan_version: next.id(),
        policyholder: found.policy.policyholder,
        sum_insured: Money::new(found.policy.currency, sum_insured_minor),
        review: None,
        prior: None,
        start,
        premium: kept(&premium, &members),
        members,
        expires: law.zone.start_of(too_late(law, start)),
        created: now,
        policy: None,
        version: 1,
    })
}

/// What was chosen for the next term cannot be had.
fn not_to_be_had(error: PremiumError) -> Error {
    match error {
        PremiumError::NotOnSale(_) => ChangeRefusal::OtherPlan("plan.on_sale").into(),
        other => refused(other),
    }
}

/// A plan that is sold no more, or not for this family, cannot be renewed; what the request got wrong is its own fault.
fn not_offered(error: PremiumError) -> Error {
    match error {
        PremiumError::InstalmentsNotOffered(_) | PremiumError::Overflow => refused(error),
        PremiumError::NotOnSale(_)
        | PremiumError::SumInsuredNotOffered
        | PremiumError::FamilyNotAllowed(_)
        | PremiumError::NoRate { .. } => ChangeRefusal::RenewalNotOpen.into(),
    }
}

/// The first day on which a renewal can no longer be paid.
fn too_late(law: &Jurisdiction, start: Date) -> Date {
    start.plus_days(i64::from(law.grace_days_renewal))
}

/// The version of the plan that is on sale on the first day of the next term, the newest; else the one the policy has.
fn next_version<'a>(app: &'a App, plan: &'a PlanVersion, start: Date) -> &'a PlanVersion {
    app.plans
        .versions_of(plan.plan_id())
        .into_iter()
        .rfind(|version| version.is_on_sale(start))
        .unwrap_or(plan)
}

/// Everybody who is covered to the end of the term and has not grown out of the plan.
async fn who_stays(
    app: &App,
    context: &CallContext,
    found: &policy::Found,
    plan: &PlanVersion,
    start: Date,
) -> Result<(Vec<QuoteMember>, Vec<ProposedMember>), Error> {
    let (mut members, mut people) = (Vec::new(), Vec::new());
    for row in found.members.iter().filter(|row| row.ends_on == start) {
        let facts = app.open_facts(context, row).await?;
        context.touched(Touched::read(row.person_id, found.policy.id));
        if !renews(&plan.family, row.relation, facts.birth, start) {
            continue;
        }
        people.push(ProposedMember {
            relation: row.relation,
            birth: facts.birth,
            conditions: facts.declared.clone(),
            load_bps: facts.load_bps,
        });
        members.push(QuoteMember { person: row.person_id, relation: row.relation, declared: facts.declared });
    }
    if members.is_empty() { Err(ChangeRefusal::NotInForce.into()) } else { Ok((members, people)) }
}

async fn replayed(app: &App, context: &CallContext, scope: Scope, replay: Replay) -> Result<(), Error> {
    let id: QuoteId = replay.resource.parse().map_err(|_| Error::NotFound)?;
    let (quote, _) = app.get_quote(context, &scope, id).await?;
    context.touched(Touched::read(quote.policyholder, id));
    Ok(())
}
