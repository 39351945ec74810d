//! AddMember: a person joins a policy in the middle of a term. Cover begins today or later; that of a newborn who is told in
//! time begins at birth. The premium is prorated by days of the actual term and is one payment more.

use caremesh_db::Tx;
use caremesh_kernel::{Bps, Date, DateRange, MemberId, PersonId, Uuid};
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::family::MemberFacts;
use super::policy::Policy;
use super::{App, Error, Once};
use crate::domain::life::{Amount, ChangeRefusal, EndorsementKind, Part, check_addition, newborn_start};
use crate::domain::plan::{Jurisdiction, PlanVersion, Relation};
use crate::domain::premium::{Proposal, ProposedMember, mid_term_premium};
use crate::store::policy::MemberRow;
use crate::store::{Error as StoreError, Scope, policy};

/// Namespace of the ids of members who join later: that of the purchase, so that a person has one membership in a policy.
const MEMBER_NAMESPACE: Uuid = Uuid::from_u128(0x4e0f_92d7_77a1_4c6b_8d15_0a6b_3f9e_51c2);

/// What is asked.
#[derive(Clone)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// Who joins.
    pub person: PersonId,
    /// Relation to the policyholder.
    pub relation: Relation,
    /// ICD-10 codes of declared conditions.
    pub declared: Vec<String>,
    /// First day of cover; for a newborn the day of birth, for others today, where none is named.
    pub start: Option<Date>,
}

/// Adds a member, once per request_id.
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
    let family_scope = app.scope(context).await?;
    // The family may know the person who joins; the contract is its holder's alone.
    let scope = Scope { family: false, ..family_scope.clone() };
    let found = policy::find(&app.db.read(context), app.db.kind(), &scope, input.target.policy).await?;
    let found = found.ok_or(Error::NotFound)?;
    let birth = app.get_person(context, &family_scope, input.person).await?.profile.birth;
    let policy = input.target.policy.to_string();
    let member = MemberId::derive(MEMBER_NAMESPACE, &[&policy, &input.person.to_string()]);
    let facts = MemberFacts { birth, declared: input.declared.clone(), load_bps: 0, excluded: Vec::new() };
    let sealed = app.seal_facts(context, input.person, member, &facts).await?;
    let mut family = Vec::with_capacity(found.members.len());
    for row in &found.members {
        family.push((row.id, row.relation, app.open_facts(context, row).await?.birth));
    }
    let target = input.target.clone();
    let joining = Joining { input, member, birth, sealed, family };
    change::run(app, context, scope, once, (target, joining)).await
}

/// Who joins, with what was opened and sealed before the transaction, because keys live in another store.
struct Joining {
    input: Input,
    member: MemberId,
    birth: Date,
    sealed: String,
    family: Vec<(MemberId, Relation, Date)>,
}

impl Decide for Joining {
    fn decide<'t>(&'t self, app: &'t App, tx: &'t Tx, draft: Draft) -> BoxFuture<'t, Result<Draft, Error>> {
        Box::pin(async move { self.joined(app, tx, draft) })
    }
}

impl Joining {
    fn joined(&self, app: &App, tx: &Tx, mut draft: Draft) -> Result<Draft, Error> {
        must_be_in_force(app.living(&draft.next, tx.now())?.state)?;
        if draft.next.members.iter().any(|row| row.person_id == self.input.person) {
            return Err(ChangeRefusal::AlreadyMember.into());
        }
        let (plan, law) = app.plan_and_law(draft.next.plan_version())?;
        let (today, term) = (law.zone.day_of(tx.now()), draft.books.term);
        let at_birth = newborn_start(law, self.input.relation, self.birth, term, today);
        let from = self.input.start.or(at_birth).unwrap_or(today.max(term.start()));
        let newborn = at_birth == Some(from);
        let people = self.people_on(&draft, from);
        let pairs: Vec<(Relation, Date)> = people.iter().map(|who| (who.relation, who.birth)).collect();
        check_addition(&plan.family, &pairs, (from, newborn), term, today)?;
        let amount = self.premium(plan, law, &draft, people, from)?;
        let days = DateRange::new(from, term.end()).map_err(|_| StoreError::Corrupt("policy_term"))?;
        let part = Part { person: self.input.person, net: amount.net, days };
        draft.agree(&draft.books.agreement.with(part, amount.tax, today.max(from)))?;
        draft.next.members.push(self.row(&draft, days, newborn && law.newborn_waiting_waived));
        draft.persons.push(self.input.person);
        let about = (from, Some(self.member));
        draft.endorse(EndorsementKind::AddMember, about, amount, Amount::default());
        Ok(draft)
    }

    /// The family as it is on the day, who joins last.
    fn people_on(&self, draft: &Draft, day: Date) -> Vec<ProposedMember> {
        let covered = |id: MemberId| draft.next.members.iter().any(|row| row.id == id && day < row.ends_on);
        let present = self.family.iter().filter(|(id, ..)| covered(*id));
        let person =
            |relation, birth, conditions| ProposedMember { relation, birth, conditions, load_bps: 0 };
        let joining = person(self.input.relation, self.birth, self.input.declared.clone());
        present.map(|(_, relation, birth)| person(*relation, *birth, Vec::new())).chain([joining]).collect()
    }

    /// Premium for the days that are left, and the tax on it by the rate of the term.
    fn premium(
        &self,
        plan: &PlanVersion,
        law: &Jurisdiction,
        draft: &Draft,
        members: Vec<ProposedMember>,
        start: Date,
    ) -> Result<Amount, Error> {
        let segment = draft.next.segments.last().ok_or(StoreError::Corrupt("a policy without a segment"))?;
        let (sum_insured_minor, joining) = (segment.sum_insured, members.len() - 1);
        let proposal = Proposal { members, sum_insured_minor, start, instalments: 1 };
        let no_rate = |_| Error::from(ChangeRefusal::Family(Vec::new()));
        let net = mid_term_premium(plan, &proposal, joining, draft.books.term).map_err(no_rate)?;
        let taxes = law.premium_taxes(&plan.premium.tax_kind, draft.books.term.start());
        let rates: Vec<Bps> = taxes.iter().map(|tax| tax.bps).collect();
        Ok(Amount { net, tax: rates.iter().map(|rate| rate.of(net)).sum() })
    }

    fn row(&self, draft: &Draft, cover: DateRange, waived: bool) -> MemberRow {
        let last = draft.next.members.iter().map(|row| row.position).max().unwrap_or(-1);
        MemberRow {
            id: self.member,
            policy_id: draft.next.policy.id,
            position: last + 1,
            person_id: self.input.person,
            relation: self.input.relation,
            starts_on: cover.start(),
            ends_on: cover.end(),
            continuous_from: cover.start(),
            end_reason: None,
            waiting_waived: i64::from(waived),
            facts_sealed: self.sealed.clone(),
        }
    }
}
