//! GetPrescription and GetDocument: a prescription as it stands, and a ticket to look at its paper.

use caremesh_kernel::PrescriptionId;
use caremesh_mesh::ticket::Grant;
use caremesh_mesh::{CallContext, Touched};

use super::Shown;
use super::upload::{Ticket, document_of};
use crate::app::{App, Error};

/// Milliseconds for which a document may be looked at under one ticket.
const LOOK_MS: i64 = 10 * 60 * 1_000;

/// The prescription.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know it.
pub async fn run(app: &App, context: &CallContext, id: PrescriptionId) -> Result<Shown, Error> {
    let row = app.find_prescription(context, id).await?;
    let key = app.keys.key(context, row.patient).await?;
    context.touched(Touched::read(row.patient, id));
    let opened = app.opened(context, row).await?;
    app.shown(&key, opened, app.clock.now())
}

/// A ticket under which the caller may read the document of a prescription from the gateway.
///
/// # Errors
/// [`Error::NotFound`], also for a prescription without a document that has come in.
pub async fn document(app: &App, context: &CallContext, id: PrescriptionId) -> Result<Ticket, Error> {
    use crate::domain::prescription::PaperState;
    let row = app.find_prescription(context, id).await?;
    let document = row.document.as_ref().filter(|_| row.state != PaperState::AwaitingDocument);
    let document = document.ok_or(Error::NotFound)?.id;
    context.touched(Touched::read(row.patient, id));
    app.ticket(context, document_of(document), Grant::Download, LOOK_MS)
}
