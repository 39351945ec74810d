//! ListPolicies: newest first; a member's own and family ones, a partner's assigned ones, or those of the person that
//! staff names.

use caremesh_kernel::{PersonId, PolicyId};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::{App, Error};
use crate::store::policy;

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    at: i64,
    id: PolicyId,
}

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::Field`] when staff names nobody: the list of all policies is nobody's business.
pub async fn run(
    app: &App,
    context: &CallContext,
    person: Option<PersonId>,
    page: &Page<Cursor>,
) -> Result<(Vec<Policy>, Option<Cursor>), Error> {
    let scope = app.scope(context).await?;
    if scope.any && person.is_none() {
        return Err(Error::Field { field: "person_id".to_owned(), rule: "required" });
    }
    let reader = app.db.read(context);
    let after = page.after.as_ref().map(|cursor| (cursor.at, cursor.id));
    let mut listed = policy::list_ids(&reader, &scope, person, after, page.size + 1).await?;
    let more = listed.len() > page.size as usize;
    listed.truncate(page.size as usize);
    let ids: Vec<PolicyId> = listed.iter().map(|(_, id)| *id).collect();
    let mut policies = Vec::with_capacity(ids.len());
    for found in policy::find_many(&reader, app.db.kind(), &scope, &ids).await? {
        let key = app.keys.key(context, found.policy.policyholder).await?;
        context.touched(Touched::read(found.policy.policyholder, found.policy.id));
        policies.push(app.policy(found, &key, app.clock.now())?);
    }
    let next = listed.last().filter(|_| more).map(|(at, id)| Cursor { at: *at, id: *id });
    Ok((policies, next))
}
