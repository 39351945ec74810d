//! CancelPrescription: taken back before anything was handed out; a signed one by its prescriber, paper by the patient.

use caremesh_kernel::PrescriptionId;
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::EventType;
use prost::Message;

use super::{Shown, next_row, opened};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once, pharmacy_events};
use crate::domain::prescription::{ItemState, PaperState, Source, StateForbids};
use crate::store::prescription::{self, Row};

/// Cancels a prescription, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for whoever may not; [`Error::State`] when a part of it was handed out, or it is over.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: PrescriptionId,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let row = prescription::find(&app.db.read(context), id).await?.ok_or(Error::NotFound)?;
    app.may_cancel(context, &row).await?;
    let key = app.keys.key(context, row.patient).await?;
    let (again, patient) = (app.clone(), row.patient);
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, key) = (again.clone(), key.clone());
        Box::pin(async move {
            let row = prescription::find(tx, id).await?.ok_or(Error::NotFound)?;
            let items = prescription::items(tx, id).await?;
            let mut all = opened(&key, row, items)?;
            let today = app.day_in(&all.row.jurisdiction, tx.now());
            all.row.state = all.row.state.at(all.row.expires, tx.now()).to(PaperState::Cancelled)?;
            if all.items.iter().any(|(_, item)| item.counters.fills > 0) {
                return Err(StateForbids { state: "FILLED" }.into());
            }
            all.row.version += 1;
            all.row.expires = None;
            for (row, item) in &mut all.items {
                // What is over already stays what it is.
                if let Ok(cancelled) = item.clone().moved(ItemState::Cancelled, today) {
                    *row = next_row(&key, row, &cancelled)?;
                    *item = cancelled;
                }
            }
            let changed = all.items.iter().filter(|(row, _)| row.state == ItemState::Cancelled);
            let changed: Vec<_> = changed.map(|(row, _)| row.clone()).collect();
            tx.emit([pharmacy_events::prescription(EventType::PrescriptionChanged, id, tx.now())]);
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            let mut batch = prescription::update(&all.row);
            batch.append(prescription::update_items(&changed));
            batch.append(prescription::unmark_paper(id));
            tx.apply(batch).await?;
            let outcome = app.shown(&key, all, tx.now())?;
            Ok(Done { resource: id.to_string(), version: outcome.row.version, outcome })
        })
    })
    .await
}

impl App {
    /// A signed one is its prescriber's to take back, paper the patient's or the family's.
    async fn may_cancel(&self, context: &CallContext, row: &Row) -> Result<(), Error> {
        match row.source {
            Source::Consultation => self.must_prescribe(context, row),
            Source::Paper => self.must_see_person(context, row.patient).await,
        }
    }
}
