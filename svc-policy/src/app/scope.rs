//! Whose records a caller may see: the relationships that access granted, resolved into what a finder can ask for.

use caremesh_mesh::CallContext;
use caremesh_mesh::policy::Relationship;

use super::{App, Error};
use crate::store::{Scope, person};

impl App {
    /// The scope of a call. Services and staff are granted any record of the methods that name them; a
    /// person sees what the granted relationships open, which is nothing for a person without a record.
    pub(crate) async fn scope(&self, context: &CallContext) -> Result<Scope, Error> {
        let granted = |relationship| context.granted().contains(&relationship);
        if granted(Relationship::Any) {
            return Ok(Scope::any());
        }
        let own = self.own_record(context).await?;
        let carrier = granted(Relationship::AssignedPartner)
            .then(|| context.principal().person().and_then(|person| person.organisation.clone()));
        Ok(Scope { any: false, own, family: granted(Relationship::OwnFamily), carrier: carrier.flatten() })
    }

    /// The caller's own record: named by the token, or found by the issuer's name for the person.
    pub(crate) async fn own_record(
        &self,
        context: &CallContext,
    ) -> Result<Option<caremesh_kernel::PersonId>, Error> {
        let Some(caller) = context.principal().person() else { return Ok(None) };
        if caller.person_id.is_some() {
            return Ok(caller.person_id);
        }
        let subject = self.subject_index(caller);
        Ok(person::find_by_subject(&self.db.read(context), &subject).await?)
    }
}
