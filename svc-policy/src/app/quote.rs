//! A stored quote as the rules see it: what the use cases from offer to cover share.

use caremesh_kernel::{Date, Money, QuoteId, Timestamp};
use caremesh_mesh::CallContext;

use super::{App, Error};
use crate::domain::life::Ported;
use crate::domain::policy::{PolicyState, Quote, QuoteMember};
use crate::store::{Scope, quote};

impl App {
    /// The quote with everything that hangs on it, when the scope holds it.
    pub(crate) async fn get_quote(
        &self,
        context: &CallContext,
        scope: &Scope,
        id: QuoteId,
    ) -> Result<(Quote, quote::Found), Error> {
        let found =
            quote::find(&self.db.read(context), self.db.kind(), scope, id).await?.ok_or(Error::NotFound)?;
        let mut members = Vec::with_capacity(found.members.len());
        for row in &found.members {
            let name = row_name(id, row.position);
            let declared =
                self.open_declared(context, &name, row.person_id, row.declared_sealed.as_deref()).await?;
            members.push(QuoteMember { person: row.person_id, relation: row.relation, declared });
        }
        Ok((of_row(&found.quote, members)?, found))
    }
}

/// Name of a quote's member row, to which its sealed column is bound.
pub(crate) fn row_name(quote: QuoteId, position: i64) -> String {
    format!("{quote}:{position}")
}

pub(crate) fn of_row(row: &quote::Row, members: Vec<QuoteMember>) -> Result<Quote, Error> {
    Ok(Quote {
        id: row.id,
        plan_version: row.plan_version_id,
        policyholder: row.policyholder,
        members,
        sum_insured: Money::new(row.currency, row.sum_insured),
        review: row.review.clone(),
        prior: prior_of(row)?,
        start: row.starts_on,
        premium: quote::premium(&row.premium)?,
        expires: Timestamp::from_micros(row.expires_at),
        created: Timestamp::from_micros(row.created_at),
        // An offer for a next term was bought when it became that term.
        policy: row.policy_id.or(row.renewed_term_id.and(row.renews_policy_id)),
        version: row.version,
    })
}

/// The prior cover of a quote, out of its column.
fn prior_of(row: &quote::Row) -> Result<Option<Ported>, Error> {
    let read = |text: &String| serde_json::from_str(text);
    let prior = row.prior.as_ref().map(read).transpose();
    prior.map_err(|_| crate::store::Error::Corrupt("quote.prior").into())
}

/// State of the policy that a quote became.
pub(crate) fn policy_state(quote: &quote::Row, row: &quote::StateRow) -> Result<PolicyState, Error> {
    state(&row.state, row.activated_at, row.ended_on, Timestamp::from_micros(quote.expires_at))
}

/// A state out of its columns.
pub(crate) fn state(
    name: &str,
    activated: Option<i64>,
    ended: Option<Date>,
    expires: Timestamp,
) -> Result<PolicyState, Error> {
    match (name, activated.map(Timestamp::from_micros), ended) {
        ("PENDING_PAYMENT", ..) => Ok(PolicyState::PendingPayment { expires }),
        ("ACTIVE", Some(since), _) => Ok(PolicyState::Active { since }),
        ("LAPSED", Some(since), Some(on)) => Ok(PolicyState::Lapsed { since, on }),
        ("CANCELLED", Some(since), Some(on)) => Ok(PolicyState::Cancelled { since, on }),
        ("EXPIRED", Some(since), Some(on)) => Ok(PolicyState::Expired { since, on }),
        ("EXPIRED_QUOTE", ..) => Ok(PolicyState::ExpiredQuote),
        _ => Err(crate::store::Error::Corrupt("policy.state").into()),
    }
}
