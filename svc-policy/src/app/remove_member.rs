//! RemoveMember: takes a person off a policy. The premium that is not earned goes off the next payments, or back; what the
//! member has used stays used (INV-P10), and claims for earlier days are still paid.

use caremesh_db::Tx;
use caremesh_kernel::{Date, DateRange, MemberId};
use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::ending::release_from;
use super::policy::Policy;
use super::{App, Error, Once};
use crate::domain::life::{Amount, EndorsementKind, RemoveReason, check_removal};
use crate::domain::plan::Relation;
use crate::store::Error as StoreError;
use crate::store::policy::MemberRow;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// Who leaves.
    pub member: MemberId,
    /// Why.
    pub reason: RemoveReason,
    /// First day without cover; of a death, the day of it.
    pub day: Date,
}

/// Removes a member, once per request_id.
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
        Box::pin(self.removed(app, tx, draft))
    }
}

impl Input {
    async fn removed(&self, app: &App, tx: &Tx, mut draft: Draft) -> Result<Draft, Error> {
        must_be_in_force(app.living(&draft.next, tx.now())?.state)?;
        let (plan, law) = app.plan_and_law(draft.next.plan_version())?;
        let today = law.zone.day_of(tx.now());
        let row = draft.next.members.iter().find(|row| row.id == self.member).ok_or(Error::NotFound)?;
        let person = row.person_id;
        let cover = DateRange::new(row.starts_on, row.ends_on).map_err(|_| StoreError::Corrupt("member"))?;
        // A policyholder who is covered leaves only by dying: the contract is theirs.
        if row.relation == Relation::Holder && self.reason != RemoveReason::Death {
            return Err(Error::Field { field: "member_id".to_owned(), rule: "member.policyholder_stays" });
        }
        let stays = |other: &&MemberRow| other.id != row.id && self.day < other.ends_on;
        let staying = draft.next.members.iter().filter(stays).count();
        let from = check_removal(&plan.family, staying, cover, (self.reason, self.day), today)?;
        // What is not earned of a term that has not begun is the whole of it; the term before is earned as it was.
        release_from(app, tx, draft.next.policy.id, Some(self.member), from).await?;
        let (after, credit, refund) = draft.books.agreement.without(person, from);
        draft.agree(&after)?;
        draft.end_cover(Some(self.member), from, self.reason.name());
        let change = Amount { net: -credit.net, tax: -credit.tax };
        draft.endorse(EndorsementKind::RemoveMember, (from, Some(self.member)), change, refund);
        Ok(draft)
    }
}
