//! GetPolicy: a policy with its terms, members, receipts, changes and refunds, as it is or as it was known at an instant.

use caremesh_kernel::{PolicyId, Timestamp};
use caremesh_mesh::{CallContext, Touched};

use super::policy::Policy;
use super::{App, Error};
use crate::store::{life, policy};

/// The policy.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know it, and for an instant at which nobody knew it.
pub async fn run(
    app: &App,
    context: &CallContext,
    id: PolicyId,
    as_of: Option<Timestamp>,
) -> Result<Policy, Error> {
    let scope = app.scope(context).await?;
    let reader = app.db.read(context);
    let mut found = policy::find(&reader, app.db.kind(), &scope, id).await?.ok_or(Error::NotFound)?;
    if let Some(instant) = as_of {
        let known = life::known_at(&reader, id, instant).await?.ok_or(Error::NotFound)?;
        found = as_known(found, known, instant);
    }
    let key = app.keys.key(context, found.policy.policyholder).await?;
    let policy = app.policy(found, &key, as_of.unwrap_or(app.clock.now()))?;
    context.touched(Touched::read(policy.policyholder, id));
    Ok(policy)
}

/// The policy with what was known of it then; receipts, changes and refunds carry their own instants.
fn as_known(now: policy::Found, then: life::Known, instant: Timestamp) -> policy::Found {
    let life::Known { policy, terms, segments, members } = then;
    let micros = instant.as_micros();
    let quote = now.quotes.iter().find(|quote| quote.id == policy.quote_id).cloned();
    policy::Found {
        policy,
        terms,
        segments,
        members,
        quote: quote.unwrap_or(now.quote),
        quotes: now.quotes,
        receipts: now.receipts.into_iter().filter(|row| row.created_at <= micros).collect(),
        endorsements: now.endorsements.into_iter().filter(|row| row.made_at <= micros).collect(),
        refunds: now.refunds.into_iter().filter(|row| row.created_at <= micros).collect(),
        recoveries: now.recoveries.into_iter().filter(|row| row.created_at <= micros).collect(),
    }
}
