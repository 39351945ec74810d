//! GetPolicy: a policy with its terms, members and receipts.

use caremesh_kernel::PolicyId;
use caremesh_mesh::{CallContext, Touched};

use super::policy::Policy;
use super::{App, Error};
use crate::store::policy;

/// The policy.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know it.
pub async fn run(app: &App, context: &CallContext, id: PolicyId) -> Result<Policy, Error> {
    let scope = app.scope(context).await?;
    let found =
        policy::find(&app.db.read(context), app.db.kind(), &scope, id).await?.ok_or(Error::NotFound)?;
    let key = app.keys.key(context, found.policy.policyholder).await?;
    let policy = app.policy(found, &key, app.clock.now())?;
    context.touched(Touched::read(policy.policyholder, id));
    Ok(policy)
}
