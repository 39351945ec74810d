//! CreateUpload and CompleteUpload: the document goes past this service, from the person to the gateway, under a ticket that
//! is signed here. What the gateway stored is known from its receipt; the bytes are then looked at before anybody works on
//! them.

use caremesh_kernel::{PersonId, PrescriptionId, Timestamp, Uuid};
use caremesh_mesh::ticket::{DOCUMENTS_PATH, Document as TicketDocument, Grant, Receipt};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{Shown, opened};
use crate::app::change::{Before, Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::prescription::{DocumentFault, MediaType, PaperState, Source, inspect};
use crate::store::prescription::{self, Document, Row};

/// What the tickets of prescriptions are for.
const PURPOSE: &str = "prescription";
/// Milliseconds that an upload may take: over a bad line, with interruptions.
const UPLOAD_MS: i64 = 2 * 3_600 * 1_000;
/// Milliseconds for which an uploaded paper waits for a pharmacist.
const QUEUE_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// What will be sent.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Whose prescription it is.
    pub patient: PersonId,
    /// Whose rules hold.
    pub jurisdiction: String,
    /// Its kind.
    pub kind: MediaType,
    /// Its size in bytes.
    pub size: i64,
    /// Its digest, lower-case hexadecimal.
    pub sha256: String,
}

/// A ticket and where it is good.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Sent with the bytes.
    pub text: String,
    /// Where.
    pub path: String,
    /// The first instant at which it is over.
    pub expires: Timestamp,
}

/// The prescription that waits for its document, and how to send it.
pub struct Announced {
    /// The prescription.
    pub shown: Shown,
    /// The ticket.
    pub ticket: Ticket,
}

/// The document as tickets name it.
pub(super) fn document_of(id: Uuid) -> TicketDocument {
    TicketDocument { id, purpose: PURPOSE.to_owned() }
}

impl App {
    /// A ticket for the caller.
    pub(super) fn ticket(
        &self,
        context: &CallContext,
        document: TicketDocument,
        grant: Grant,
        life_ms: i64,
    ) -> Result<Ticket, Error> {
        let path = format!("{DOCUMENTS_PATH}{}", document.id);
        let expires = self.clock.now().plus_ms(life_ms);
        let text = self.tickets.issue(context.principal(), document, grant, life_ms);
        let text = text.map_err(|_| crate::store::Error::Config("tickets cannot be signed".to_owned()))?;
        Ok(Ticket { text, path, expires })
    }
}

/// Announces a document, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for a patient whom the caller may not know; [`Error::Field`] for an unknown jurisdiction.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Announced, T>,
    input: Announce,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    app.must_see_person(context, input.patient).await?;
    if app.control.zone(&input.jurisdiction).is_none() {
        return Err(Error::Field { field: "jurisdiction_code".to_owned(), rule: "jurisdiction.known" });
    }
    let key = app.keys.key(context, input.patient).await?;
    let document = document_of(app.ids.uuid());
    let grant = Grant::Upload {
        max_bytes: u64::try_from(input.size).unwrap_or_default(),
        media_types: vec![input.kind.name().to_owned()],
        sha256: Some(input.sha256.clone()),
    };
    let ticket = app.ticket(context, document.clone(), grant, UPLOAD_MS)?;
    let (again, patient) = (app.clone(), input.patient);
    app.once(context, once, Whose::Person(patient), move |tx| {
        let (app, key, ticket) = (again.clone(), key.clone(), ticket.clone());
        let row = announced_row(&input, document.id, PrescriptionId::from_uuid(tx.uuid()), tx.now());
        Box::pin(async move {
            tx.context().touched(Touched::new(patient, row.id, Action::Created));
            tx.apply(prescription::insert(&row)).await?;
            let resource = row.id.to_string();
            let shown = app.shown(&key, opened(&key, row, Vec::new())?, tx.now())?;
            Ok(Done { resource, version: 1, outcome: Announced { shown, ticket } })
        })
    })
    .await
}

fn announced_row(input: &Announce, document: Uuid, id: PrescriptionId, now: Timestamp) -> Row {
    Row {
        id,
        patient: input.patient,
        jurisdiction: input.jurisdiction.clone(),
        source: Source::Paper,
        source_id: None,
        state: PaperState::AwaitingDocument,
        detail_sealed: None,
        prescriber: None,
        rejection: None,
        verified_by: None,
        safety_sealed: None,
        document: Some(Document {
            id: document,
            sha256: input.sha256.clone(),
            kind: input.kind,
            size: input.size,
        }),
        lease: None,
        episode: None,
        version: 1,
        created: now,
        expires: Some(now.plus_ms(UPLOAD_MS)),
    }
}

/// Takes a document that was sent, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for another patient's prescription; [`Error::UploadExpired`]; [`Error::OtherDocument`] for a receipt of
/// something else; [`Error::Incomplete`]; [`Error::Document`]; [`Error::State`] when it came in before.
pub async fn complete<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: PrescriptionId,
    receipt: &str,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let row = prescription::find(&app.db.read(context), id).await?.ok_or(Error::NotFound)?;
    app.must_see_person(context, row.patient).await?;
    // A repetition finds the document taken: it must reach the stored answer instead of being refused.
    let looked = match row.state {
        PaperState::AwaitingDocument => app.look_at(&row, receipt).await,
        _ => Ok(()),
    };
    let looked = Before::new(looked);
    let key = app.keys.key(context, row.patient).await?;
    let (again, patient) = (app.clone(), row.patient);
    app.once(context, once, Whose::Person(patient), move |tx| {
        let (app, key, looked) = (again.clone(), key.clone(), looked.clone());
        Box::pin(async move {
            looked.get()?;
            let mut row = prescription::find(tx, id).await?.ok_or(Error::NotFound)?;
            let state = row.state.at(row.expires, tx.now());
            if state == PaperState::Expired {
                return Err(Error::UploadExpired);
            }
            row.state = state.to(PaperState::Uploaded)?;
            row.expires = Some(tx.now().plus_ms(QUEUE_MS));
            row.version += 1;
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            tx.apply(prescription::update(&row)).await?;
            let version = row.version;
            let outcome = app.shown(&key, opened(&key, row, Vec::new())?, tx.now())?;
            Ok(Done { resource: id.to_string(), version, outcome })
        })
    })
    .await
}

impl App {
    /// Compares the receipt with what was announced, then looks at the bytes themselves.
    async fn look_at(&self, row: &Row, receipt: &str) -> Result<(), Error> {
        let document = row.document.as_ref().ok_or(Error::NotFound)?;
        let receipt = self.tickets.verify_receipt(receipt).map_err(|_| Error::OtherDocument)?;
        compare(document, &receipt)?;
        let Some(documents) = &self.documents else { return Ok(()) };
        let bytes = documents.read(document.id).await?.ok_or(Error::Incomplete)?;
        Ok(inspect(&bytes, document.kind)?)
    }
}

fn compare(document: &Document, receipt: &Receipt) -> Result<(), Error> {
    if receipt.document != document_of(document.id) {
        return Err(Error::OtherDocument);
    }
    if receipt.size_bytes == 0 {
        return Err(DocumentFault::Empty.into());
    }
    match MediaType::of_name(&receipt.media_type) {
        None => return Err(DocumentFault::Unsupported.into()),
        Some(kind) if kind != document.kind => return Err(DocumentFault::OtherKind.into()),
        Some(_) => {}
    }
    let announced = u64::try_from(document.size).unwrap_or_default();
    if receipt.size_bytes < announced {
        return Err(Error::Incomplete);
    }
    if receipt.size_bytes != announced || receipt.sha256 != document.sha256 {
        return Err(Error::OtherDocument);
    }
    Ok(())
}
