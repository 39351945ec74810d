//! ListAccess: who has looked at or changed what this service holds of a person. Reading it is audited too.

use caremesh_db::audit::{Access, AccessCursor};
use caremesh_kernel::PersonId;
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};

use super::{App, Error};
use crate::store::person;

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a person whom the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    id: PersonId,
    page: &Page<AccessCursor>,
) -> Result<(Vec<Access>, Option<AccessCursor>), Error> {
    let scope = app.scope(context).await?;
    person::find(&app.db.read(context), &scope, id).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(id, id));
    Ok(app.db.list_access(context, id, page).await?)
}
