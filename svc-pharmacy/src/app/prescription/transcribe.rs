//! TranscribePrescription: a pharmacist writes down what the paper says; the last transcription counts.

use caremesh_kernel::{Date, PrescriptionId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::issue::new_items;
use super::{Detail, Shown, detail_field, must_hold, new_row, opened, seal};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::prescription::{ItemState, Prescribed, check_items};
use crate::store::prescription;

/// What the paper says.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which prescription.
    pub id: PrescriptionId,
    /// The prescriber's number in the register.
    pub registration: String,
    /// The day on the paper.
    pub issued: Date,
    /// What it prescribes.
    pub items: Vec<Prescribed>,
    /// The unit of each item's daily dose.
    pub dose_units: Vec<Option<String>>,
}

/// Transcribes a paper, once per request_id.
///
/// # Errors
/// [`Error::NotRegistered`]; [`Error::NotFound`]; [`Error::NotYours`]; [`Error::Item`]; [`Error::Field`] for a day in the
/// future.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (pharmacist, row) = app.must_work_on(context, input.id).await?;
    app.check_written(&row.jurisdiction, input.issued)?;
    check_items(&input.items, &input.dose_units, input.issued)?;
    let key = app.keys.key(context, row.patient).await?;
    let (again, patient, id) = (app.clone(), row.patient, input.id);
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, input, key) = (again.clone(), input.clone(), key.clone());
        Box::pin(async move {
            let mut row = prescription::find(tx, id).await?.ok_or(Error::NotFound)?;
            must_hold(&row, pharmacist, tx.now())?;
            let detail =
                Detail { registration: input.registration.clone(), issued: input.issued, encounter: None };
            row.detail_sealed = Some(seal(&key, detail_field(&id.to_string()), &detail)?);
            row.version += 1;
            let items = new_items(tx, &input.items, ItemState::Draft);
            let rows = items.iter().enumerate().map(|(place, item)| new_row(&key, id, place + 1, item));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            let mut before = prescription::update(&row);
            before.append(prescription::remove_items(id));
            tx.apply(before).await?;
            tx.apply(prescription::insert_items(&rows)).await?;
            let version = row.version;
            let outcome = app.shown(&key, opened(&key, row, rows)?, tx.now())?;
            Ok(Done { resource: id.to_string(), version, outcome })
        })
    })
    .await
}
