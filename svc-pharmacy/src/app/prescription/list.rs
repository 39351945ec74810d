//! ListPrescriptions: a patient's prescriptions, newest first.

use caremesh_kernel::PersonId;
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::{Shown, opened};
use crate::app::{App, Error};
use crate::store::prescription;

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor(String);

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a patient whom the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    patient: PersonId,
    page: &Page<Cursor>,
) -> Result<(Vec<Shown>, Option<Cursor>), Error> {
    app.must_see_patient(context, patient).await?;
    // Before anything is reported: a first look makes the patient's key, in a store that has no trail.
    let (key, now) = (app.keys.key(context, patient).await?, app.clock.now());
    context.touched(Touched::read(patient, patient));
    let reader = app.db.read(context);
    let before = page.after.clone().map(|cursor| cursor.0);
    let mut rows = prescription::list(&reader, patient, before, page.size + 1).await?;
    let more = rows.len() > page.size as usize;
    rows.truncate(page.size as usize);
    let next = rows.last().filter(|_| more).map(|row| Cursor(row.id.to_string()));
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let items = prescription::items(&reader, row.id).await?;
        context.touched(Touched::read(patient, row.id));
        shown.push(app.shown(&key, opened(&key, row, items)?, now)?);
    }
    Ok((shown, next))
}
