//! Opening and sealing profiles: what the use cases about persons share. A profile opens only with the person's own key,
//! and only in the row it was sealed for.

use caremesh_db::keys::Field;
use caremesh_kernel::PersonId;
use caremesh_mesh::CallContext;

use super::{App, Error};
use crate::domain::person::{Person, Profile};
use crate::store::{Error as StoreError, Scope, person};

impl App {
    /// The person with the opened profile, when the scope holds the person.
    pub(crate) async fn find_person(
        &self,
        context: &CallContext,
        scope: &Scope,
        id: PersonId,
    ) -> Result<Option<Person>, Error> {
        let Some(row) = person::find(&self.db.read(context), scope, id).await? else { return Ok(None) };
        Ok(Some(self.open_person(context, row).await?))
    }

    /// The person, or NOT_FOUND.
    pub(crate) async fn get_person(
        &self,
        context: &CallContext,
        scope: &Scope,
        id: PersonId,
    ) -> Result<Person, Error> {
        self.find_person(context, scope, id).await?.ok_or(Error::NotFound)
    }

    pub(crate) async fn open_person(&self, context: &CallContext, row: person::Row) -> Result<Person, Error> {
        let key = self.keys.key(context, row.id).await?;
        let plain = key.open(field(&row.id.to_string()), &row.profile_sealed)?;
        let profile = serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("person.profile"))?;
        Ok(Person {
            id: row.id,
            profile,
            managed_by: row.managed_by,
            version: row.version,
            created: row.created,
            updated: row.updated,
        })
    }

    pub(crate) async fn seal_profile(
        &self,
        context: &CallContext,
        id: PersonId,
        profile: &Profile,
    ) -> Result<Vec<u8>, Error> {
        let plain = serde_json::to_vec(profile).map_err(|_| StoreError::Corrupt("person.profile"))?;
        Ok(self.keys.key(context, id).await?.seal(field(&id.to_string()), &plain)?)
    }
}

fn field(row: &str) -> Field<'_> {
    Field { table: "person", column: "profile_sealed", row }
}
