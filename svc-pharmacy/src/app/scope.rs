//! Whose records a caller may see: the relationships that access granted, resolved. Families live in svc-policy, so whether
//! somebody belongs to the caller's is asked there, with the caller's own token.

use caremesh_kernel::{OrganisationId, PersonId};
use caremesh_mesh::CallContext;
use caremesh_mesh::policy::Relationship;

use super::{App, Error};
use crate::clients::CallError;

impl App {
    /// Refuses a caller who may not see this person's records.
    ///
    /// # Errors
    /// [`Error::NotFound`]: not allowed to know is answered like absent.
    pub(crate) async fn must_see_person(&self, context: &CallContext, person: PersonId) -> Result<(), Error> {
        if is_granted(context, Relationship::Any) || context.principal().person_id() == Some(person) {
            return Ok(());
        }
        if !is_granted(context, Relationship::OwnFamily) {
            return Err(Error::NotFound);
        }
        if self.is_of_family(context, person).await? { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Whether the caller manages the person, or sees a policy of that person.
    async fn is_of_family(&self, context: &CallContext, person: PersonId) -> Result<bool, Error> {
        if !self.policy.policies_of(context, person).await?.is_empty() {
            return Ok(true);
        }
        let Some(own) = context.principal().person_id() else { return Ok(false) };
        match self.policy.manager_of(context, person).await {
            Ok(manager) => Ok(manager == Some(own)),
            Err(CallError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether access granted this relationship.
pub(crate) fn is_granted(context: &CallContext, relationship: Relationship) -> bool {
    context.granted().contains(&relationship)
}

/// The organisation of a staff member; none for everybody else.
pub(crate) fn own_organisation(context: &CallContext) -> Option<OrganisationId> {
    context.principal().person()?.organisation.as_deref()?.parse().ok()
}
