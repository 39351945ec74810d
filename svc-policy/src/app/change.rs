//! A change of a policy: found at its version, decided, saved with its endorsement, its version remembered. What all changes
//! share; each use case only decides. Purchase, payment and every change meet at the quote's version, so that of two that
//! come together the second sees the first.

use std::sync::Arc;

use caremesh_db::{Answered, Error as DbError, Replay, Tx};
use caremesh_kernel::{
    Date, DateRange, EndorsementId, MemberId, PersonId, PolicyId, RefundId, Timestamp, Uuid,
};
use caremesh_mesh::{Action, CallContext, Touched};
use futures::future::BoxFuture;
use prost::Message;

use super::life::{Books, agreed, books, premium_of, schedule};
use super::policy::Policy;
use super::{App, Error, Once, events};
use crate::domain::engine::CoverLayer;
use crate::domain::life::{Agreement, Amount, ChangeRefusal, EndorsementKind};
use crate::domain::plan::PlanVersion;
use crate::domain::policy::PolicyState;
use crate::store::life::{EndorsementRow, RefundRow};
use crate::store::policy::SegmentRow;
use crate::store::{Error as StoreError, Scope, life, party, policy, quote};

/// Namespace of the ids of endorsements and refunds. Never to change.
pub(crate) const CHANGE_NAMESPACE: Uuid = Uuid::from_u128(0x1f6a_0d53_9b7e_4c28_b1d4_7e52_c90f_38a6);

/// Tries of a change that met another one.
const TRIES: u32 = 5;

/// Decides one change of a policy.
pub(crate) trait Decide: Send + Sync + 'static {
    /// The policy as it is after the change.
    fn decide<'t>(&'t self, app: &'t App, tx: &'t Tx, draft: Draft) -> BoxFuture<'t, Result<Draft, Error>>;
}

/// A policy on its way from one version to the next.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The policy as the change leaves it.
    pub(crate) next: policy::Found,
    /// Its books before the change.
    pub(crate) books: Books,
    /// New versions of who is paid.
    pub(crate) parties: Vec<party::Row>,
    /// Persons besides the policyholder whom the change is about.
    pub(crate) persons: Vec<PersonId>,
    now: Timestamp,
}

impl Draft {
    /// A draft of the policy's next version.
    pub(crate) fn new(before: &policy::Found, now: Timestamp) -> Result<Self, Error> {
        let mut next = before.clone();
        next.policy.version += 1;
        next.policy.updated_at = now.as_micros();
        Ok(Self { next, books: books(before)?, parties: Vec::new(), persons: Vec::new(), now })
    }

    /// Puts the policy into a state.
    pub(crate) fn state(&mut self, state: PolicyState) {
        let row = &mut self.next.policy;
        state.name().clone_into(&mut row.state);
        row.activated_at = state.since().map(Timestamp::as_micros);
        row.ended_on = state.ended_on();
    }

    /// Puts a new agreement in the place of the old one.
    pub(crate) fn agree(&mut self, agreement: &Agreement) -> Result<(), Error> {
        let premium = agreed(&premium_of(&self.next)?, agreement);
        if let Some(term) = self.next.terms.last_mut() {
            term.premium = Some(quote::premium_text(&premium)?);
        }
        Ok(())
    }

    /// Ends the cover of members from a day on, for a reason; who left earlier stays as it is.
    pub(crate) fn end_cover(&mut self, member: Option<MemberId>, from: Date, reason: &str) {
        for row in &mut self.next.members {
            if member.is_none_or(|id| id == row.id) && from < row.ends_on {
                row.ends_on = from.max(row.starts_on);
                row.end_reason = Some(reason.to_owned());
                self.persons.push(row.person_id);
            }
        }
    }

    /// Says of members who have grown out of the plan that this is why their cover ends with the term.
    pub(crate) fn age_out(&mut self, end: Date, grown: &[MemberId]) {
        let rows = self.next.members.iter_mut().filter(|row| row.ends_on == end && grown.contains(&row.id));
        for row in rows {
            row.end_reason = Some("AGED_OUT".to_owned());
            self.persons.push(row.person_id);
        }
    }

    /// Lets the open terms run off, or closes those that did: nothing new is covered, or nothing is booked any more.
    pub(crate) fn terms(&mut self, state: &str) {
        let terms = self.next.terms.iter_mut().filter(|term| term.state != "CLOSED");
        terms.for_each(|term| state.clone_into(&mut term.state));
    }

    /// Id of the endorsement that this change makes.
    pub(crate) fn endorsement_id(&self) -> EndorsementId {
        let parts = [self.next.policy.id.to_string(), self.next.policy.version.to_string()];
        EndorsementId::derive(CHANGE_NAMESPACE, &[&parts[0], &parts[1]])
    }

    /// The last segment of the last term.
    pub(crate) fn segment(&self) -> Result<&SegmentRow, Error> {
        let of_term = |row: &&SegmentRow| self.next.terms.last().is_some_and(|term| term.id == row.term_id);
        let last = self.next.segments.iter().rfind(of_term);
        last.ok_or(StoreError::Corrupt("a term without a segment").into())
    }

    /// The sum insured of the last term, layer by layer.
    pub(crate) fn layers(&self) -> Result<Vec<CoverLayer>, Error> {
        let (Some(first), Some(term)) = (self.next.terms.first(), self.next.terms.last()) else {
            return Err(StoreError::Corrupt("a policy without a term").into());
        };
        let (text, sum) = (term.layers.as_deref(), self.segment()?.sum_insured);
        Ok(policy::layers_of(text, sum, self.books.term, first.starts_on)?)
    }

    /// Puts other layers in the place of the sum insured.
    pub(crate) fn cover_with(&mut self, layers: &[CoverLayer]) -> Result<(), Error> {
        let text = policy::layers_text(layers)?;
        if let Some(term) = self.next.terms.last_mut() {
            term.layers = Some(text);
        }
        Ok(())
    }

    /// Ends the last segment on a day, and begins another one with what differs in it.
    pub(crate) fn begin_segment(
        &mut self,
        from: Date,
        change: impl FnOnce(&mut SegmentRow),
    ) -> Result<(), Error> {
        let mut fresh = SegmentRow { starts_on: from, ..self.segment()?.clone() };
        change(&mut fresh);
        self.next.segments.retain(|row| row.term_id != fresh.term_id || row.starts_on < from);
        for row in self.next.segments.iter_mut().filter(|row| row.term_id == fresh.term_id) {
            row.ends_on = row.ends_on.min(from);
        }
        let term = fresh.term_id;
        self.next.segments.push(fresh);
        let of_term = self.next.segments.iter().filter(|row| row.term_id == term);
        let days = |row: &SegmentRow| {
            let days =
                DateRange::new(row.starts_on, row.ends_on).map_err(|_| StoreError::Corrupt("a segment"))?;
            Ok::<_, Error>((days, row.plan_version_id))
        };
        let plans = policy::plans_text(&of_term.map(days).collect::<Result<Vec<_>, _>>()?)?;
        if let Some(row) = self.next.terms.iter_mut().find(|row| row.id == term) {
            row.plans = plans;
        }
        Ok(())
    }

    /// The plan versions of the last term, in the order of its segments.
    pub(crate) fn plans<'a>(&self, app: &'a App) -> Result<Vec<&'a PlanVersion>, Error> {
        let term = self.next.terms.last().ok_or(StoreError::Corrupt("a policy without a term"))?;
        let version = self.segment()?.plan_version_id;
        let segments = policy::plans_of(term.plans.as_deref(), version, self.books.term)?;
        Ok(app.plan_segments(&segments)?.into_iter().map(|(_, plan)| plan).collect())
    }

    /// Puts the policy under a plan.
    pub(crate) fn of_plan(&mut self, plan: &PlanVersion) {
        self.next.policy.plan_id = plan.plan_id();
        if let Some(lead) = plan.carriers.iter().find(|carrier| carrier.leads) {
            self.next.policy.lead_carrier = lead.insurer.to_string();
        }
    }

    /// Adds the endorsement, and the refund if anything is given back.
    pub(crate) fn endorse(
        &mut self,
        kind: EndorsementKind,
        (effective, member): (Date, Option<MemberId>),
        change: Amount,
        refund: Amount,
    ) {
        let (policy, number, id) = (self.next.policy.id, self.next.policy.version, self.endorsement_id());
        self.next.endorsements.push(EndorsementRow {
            id,
            policy_id: policy,
            number,
            kind: kind.name().to_owned(),
            effective_on: effective,
            member_id: member,
            net: change.net,
            tax: change.tax,
            made_at: self.now.as_micros(),
        });
        if refund.total() > 0 {
            self.next.refunds.push(RefundRow {
                id: RefundId::derive(CHANGE_NAMESPACE, &[&id.to_string()]),
                policy_id: policy,
                endorsement_id: id,
                term_id: self.next.terms.last().map(|term| term.id),
                net: refund.net,
                tax: refund.tax,
                created_at: self.now.as_micros(),
            });
        }
    }
}

/// Refuses a change of a policy that is not in force.
pub(crate) fn must_be_in_force(state: PolicyState) -> Result<(), Error> {
    if state.is_in_force() { Ok(()) } else { Err(ChangeRefusal::NotInForce.into()) }
}

/// Which policy is changed, and at which version the caller read it; any where none is named.
#[derive(Clone, Debug)]
pub struct Target {
    /// The policy.
    pub policy: PolicyId,
    /// The etag that was read.
    pub etag: Option<String>,
}

/// Changes a policy, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`] for another etag, and what `decide` refuses.
pub(crate) async fn run<R, T, D>(
    app: &App,
    context: &CallContext,
    scope: Scope,
    once: Once<R, Policy, T>,
    (target, decide): (Target, D),
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
    D: Decide,
{
    let found = policy::find(&app.db.read(context), app.db.kind(), &scope, target.policy).await?;
    let holder = found.ok_or(Error::NotFound)?.policy.policyholder;
    let key = app.keys.key(context, holder).await?;
    let change = Arc::new(Change { app: app.clone(), scope, once, target, decide, key });
    let mut outcome = Err(Error::Stale);
    for _ in 0..TRIES {
        outcome = change.try_once(context).await;
        if !matches!(outcome, Err(Error::Stale | Error::Collided)) {
            break;
        }
    }
    outcome
}

struct Change<R, T, D> {
    app: App,
    scope: Scope,
    once: Once<R, Policy, T>,
    target: Target,
    decide: D,
    key: caremesh_db::keys::PersonKey,
}

impl<R, T, D> Change<R, T, D>
where
    R: Message + 'static,
    T: Message + Default + 'static,
    D: Decide,
{
    async fn try_once(self: &Arc<Self>, context: &CallContext) -> Result<T, Error> {
        let (of_work, again) = (Arc::clone(self), Arc::clone(self));
        let answered = self.app.db.idempotent(
            context,
            &self.once.request_id,
            &self.once.request,
            move |tx| {
                let change = Arc::clone(&of_work);
                Box::pin(async move { change.write(tx).await })
            },
            move |context, replay| Box::pin(async move { again.replayed(context, replay).await }),
        );
        answered.await
    }

    async fn write(&self, tx: &Tx) -> Result<Answered<T>, Error> {
        let found = policy::find(tx, tx.kind(), &self.scope, self.target.policy).await?;
        let before = found.ok_or(Error::NotFound)?;
        if self.target.etag.as_ref().is_some_and(|etag| *etag != before.policy.version.to_string()) {
            return Err(Error::Stale);
        }
        let mut draft = self.decide.decide(&self.app, tx, Draft::new(&before, tx.now())?).await?;
        let (_, law) = self.app.plan_and_law(before.quote.plan_version_id)?;
        schedule(&mut draft.next, law, law.zone.day_of(tx.now()))?;
        let batch = saved(tx, &before, &draft)?;
        let answer = self.app.policy(draft.next, &self.key, tx.now())?;
        let answered = self.once.answered(answer.id, answer.version, &answer);
        tx.answer(&answered)?;
        tx.apply(batch).await.map_err(met_another)?;
        Ok(answered)
    }

    async fn replayed(&self, context: &CallContext, replay: Replay) -> Result<(), Error> {
        let id: PolicyId = replay.resource.parse().map_err(|_| Error::NotFound)?;
        let found = policy::find(&self.app.db.read(context), self.app.db.kind(), &self.scope, id).await?;
        context.touched(Touched::read(found.ok_or(Error::NotFound)?.policy.policyholder, id));
        Ok(())
    }
}

/// What a change writes. The quote moves on with it.
pub(crate) fn saved(tx: &Tx, before: &policy::Found, draft: &Draft) -> Result<caremesh_db::Batch, Error> {
    let mut batch = quote::advance(&before.quote, None, None);
    batch.append(kept(tx, before, draft)?);
    Ok(batch)
}

/// What a draft writes on the policy alone; tells of it and reports whom it touched.
pub(crate) fn kept(tx: &Tx, before: &policy::Found, draft: &Draft) -> Result<caremesh_db::Batch, Error> {
    let (policy, now) = (before.policy.id, tx.now());
    let holder = before.policy.policyholder;
    for person in [holder].iter().chain(&draft.persons) {
        tx.context().touched(Touched::new(*person, policy, Action::Changed));
    }
    let endorsed = draft.next.endorsements.iter().skip(before.endorsements.len());
    tx.emit(endorsed.map(|row| events::policy_endorsed(policy, row.id, now)));
    if before.policy.ended_on.is_none() && draft.next.policy.ended_on.is_some() {
        tx.emit([events::policy_ended(policy, now)]);
    }
    let refunds = draft.next.refunds.iter().skip(before.refunds.len());
    tx.emit(refunds.map(|row| events::refund_decided(policy, row.id, now)));
    let mut batch = life::save(tx.kind(), before, &draft.next)?;
    for row in &draft.parties {
        batch.append(party::insert(tx.kind(), row));
    }
    Ok(batch)
}

/// Another change, a payment or the purchase was faster: look again.
pub(crate) fn met_another(error: DbError) -> Error {
    match error {
        DbError::Stale { statement: "quote" | "policy", .. } => Error::Stale,
        DbError::Duplicate { constraint } if same_version(&constraint) => Error::Stale,
        other => other.into(),
    }
}

/// PostgreSQL runs all statements of a batch before their counts are looked at: the version that another change has made may
/// be seen as a row that is there twice, before it is seen that the policy moved on.
pub(crate) fn same_version(constraint: &str) -> bool {
    ["policy_version", "endorsement", "member", "policy_party"].iter().any(|table| constraint.contains(table))
}
