//! ListBranches: the branches of a jurisdiction, by name.

use caremesh_mesh::CallContext;
use caremesh_mesh::page::Page;
use serde::{Deserialize, Serialize};

use crate::app::{App, Error};
use crate::store::branch::{self, Row};

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    name: String,
    id: String,
}

/// One page, and where the next begins.
///
/// # Errors
/// What the store answers.
pub async fn run(
    app: &App,
    context: &CallContext,
    jurisdiction: &str,
    page: &Page<Cursor>,
) -> Result<(Vec<Row>, Option<Cursor>), Error> {
    let after = page.after.clone().map(|cursor| (cursor.name, cursor.id));
    let mut rows = branch::list(&app.db.read(context), jurisdiction, after, page.size + 1).await?;
    let more = rows.len() > page.size as usize;
    rows.truncate(page.size as usize);
    let next =
        rows.last().filter(|_| more).map(|row| Cursor { name: row.name.clone(), id: row.id.to_string() });
    Ok((rows, next))
}
