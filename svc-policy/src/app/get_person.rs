//! GetPerson: a profile, for whom it may be known.

use caremesh_kernel::PersonId;
use caremesh_mesh::{CallContext, Touched};

use super::{App, Error};
use crate::domain::person::Person;

/// The person.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know the person.
pub async fn run(app: &App, context: &CallContext, id: PersonId) -> Result<Person, Error> {
    let scope = app.scope(context).await?;
    let person = app.get_person(context, &scope, id).await?;
    context.touched(Touched::read(id, id));
    Ok(person)
}
