//! VerifyPrescription and RejectPrescription: how work on a paper ends.

use caremesh_kernel::{Date, PersonId, PrescriptionId};
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::EventType;
use prost::Message;

use super::{Opened, Shown, must_hold, next_row, opened, safety_field, seal};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once, pharmacy_events};
use crate::domain::prescription::{Item, ItemState, PaperState, Rejection, StateForbids};
use crate::domain::safety::{Checked, substances};
use crate::store::Error as StoreError;
use crate::store::{prescription, queue};

/// Declares a transcription right, once per request_id. `version` is the prescription's as it was read.
///
/// # Errors
/// [`Error::NotRegistered`]; [`Error::NotFound`]; [`Error::NotYours`]; [`Error::State`] before anything was transcribed;
/// [`Error::Stale`]; [`Error::Unsafe`] when a severe finding is not overridden; [`Error::PaperUsed`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: PrescriptionId,
    version: i64,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (pharmacist, row) = app.must_work_on(context, id).await?;
    let (key, patient) = (app.keys.key(context, row.patient).await?, row.patient);
    let before = app.opened(context, row).await?;
    let today = app.day_in(&before.row.jurisdiction, app.clock.now());
    let new = before.items.iter().map(|(_, item)| checked(item)).collect();
    let safety = app.assess(context, patient, new, &[id], today).await?;
    let marks = app.marks(&before, patient);
    let again = app.clone();
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, key, safety, marks) = (again.clone(), key.clone(), safety.clone(), marks.clone());
        Box::pin(async move {
            let row = prescription::find(tx, id).await?.ok_or(Error::NotFound)?;
            must_hold(&row, pharmacist, tx.now())?;
            if row.version != version {
                return Err(Error::Stale);
            }
            let items = prescription::items(tx, id).await?;
            let mut all = opened(&key, row, items)?;
            if all.items.is_empty() {
                return Err(StateForbids { state: "NOT_TRANSCRIBED" }.into());
            }
            safety.must_pass()?;
            app.must_be_unused(tx, &all).await?;
            let rows = activated(&key, &mut all, today)?;
            all.row.state = all.row.state.to(PaperState::Verified)?;
            all.row.verified_by = Some(pharmacist);
            all.row.lease = None;
            all.row.expires = None;
            all.row.version += 1;
            all.row.safety_sealed = Some(seal(&key, safety_field(&id.to_string()), &safety)?);
            tx.emit([pharmacy_events::prescription(EventType::PrescriptionVerified, id, tx.now())]);
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            let mut batch = prescription::update(&all.row);
            batch.append(prescription::update_items(&rows));
            batch.append(prescription::mark_paper(&marks, id));
            tx.apply(batch).await.map_err(used)?;
            let outcome = app.shown(&key, all, tx.now())?;
            Ok(Done { resource: id.to_string(), version: outcome.row.version, outcome })
        })
    })
    .await
}

/// Drafts become active. One whose days are over already becomes what it is: expired.
fn activated(
    key: &caremesh_db::keys::PersonKey,
    all: &mut Opened,
    today: Date,
) -> Result<Vec<prescription::ItemRow>, Error> {
    let mut rows = Vec::with_capacity(all.items.len());
    for (row, item) in &mut all.items {
        let next =
            if item.state(today) == ItemState::Expired { ItemState::Expired } else { ItemState::Active };
        item.stored = item.stored.to(next)?;
        *row = next_row(key, row, item)?;
        rows.push(row.clone());
    }
    Ok(rows)
}

/// An item as a safety check looks at it.
pub(super) fn checked(item: &Item) -> Checked {
    Checked { generic: item.prescribed.generic.clone(), atc: item.prescribed.atc.clone(), is_new: true }
}

/// Two who verify the same paper at the same moment meet at the key of its marks.
fn used(error: StoreError) -> Error {
    match error {
        StoreError::Duplicate { .. } => Error::PaperUsed,
        other => other.into(),
    }
}

impl App {
    /// What makes an item of a paper the same on every photo of it: prescriber, day, patient, medicine. Keyed hashes, because
    /// they tell of a patient's health.
    fn marks(&self, opened: &Opened, patient: PersonId) -> Vec<String> {
        let Some(detail) = &opened.detail else { return Vec::new() };
        let plain = |text: &str| text.to_lowercase().split_whitespace().collect::<String>();
        let mark = |item: &Item| {
            let mut names = substances(&item.prescribed.generic);
            names.sort();
            let (strength, form) = (plain(&item.prescribed.strength), plain(&item.prescribed.form));
            let (registration, issued) = (plain(&detail.registration), detail.issued);
            let text = format!("{registration}|{issued}|{patient}|{}|{strength}|{form}", names.join("+"));
            self.secrets.blind_index("paper_item.mark", &text)
        };
        opened.items.iter().map(|(_, item)| mark(item)).collect()
    }

    /// The same file is the same paper, whatever was transcribed from it.
    async fn must_be_unused(&self, tx: &caremesh_db::Tx, opened: &Opened) -> Result<(), Error> {
        let Some(document) = &opened.row.document else { return Ok(()) };
        match queue::same_document(tx, opened.row.id, &document.sha256, true).await? {
            Some(_) => Err(Error::PaperUsed),
            None => Ok(()),
        }
    }
}

/// Refuses a paper, once per request_id.
///
/// # Errors
/// [`Error::NotRegistered`]; [`Error::NotFound`]; [`Error::NotYours`].
pub async fn reject<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: PrescriptionId,
    reason: Rejection,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (pharmacist, row) = app.must_work_on(context, id).await?;
    let (key, patient) = (app.keys.key(context, row.patient).await?, row.patient);
    let again = app.clone();
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, key) = (again.clone(), key.clone());
        Box::pin(async move {
            let mut row = prescription::find(tx, id).await?.ok_or(Error::NotFound)?;
            must_hold(&row, pharmacist, tx.now())?;
            row.state = row.state.to(PaperState::Rejected)?;
            row.rejection = Some(reason);
            row.lease = None;
            row.expires = None;
            row.version += 1;
            tx.emit([pharmacy_events::prescription(EventType::PrescriptionRejected, id, tx.now())]);
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            tx.apply(prescription::update(&row)).await?;
            let items = prescription::items(tx, id).await?;
            let outcome = app.shown(&key, opened(&key, row, items)?, tx.now())?;
            Ok(Done { resource: id.to_string(), version: outcome.row.version, outcome })
        })
    })
    .await
}
