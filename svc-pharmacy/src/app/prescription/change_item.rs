//! AmendItem, HoldItem, ResumeItem, StopItem: what a prescriber does with an item later.

use caremesh_kernel::PrescriptionItemId;
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::EventType;
use prost::Message;

use super::{Shown, next_row, opened};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once, pharmacy_events};
use crate::domain::prescription::{DailyDose, Item, ItemFault, ItemState, StateForbids};
use crate::store::prescription;

/// What is done.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another daily dose from today on.
    Amend {
        /// The dose.
        dose: DailyDose,
        /// Its unit.
        unit: String,
        /// How it is taken from now on; empty: as before.
        instruction: String,
    },
    /// Suspended.
    Hold,
    /// Taken up again.
    Resume,
    /// Ended for good.
    Stop,
}

/// Changes an item, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for whoever is not its prescriber; [`Error::State`]; [`Error::Item`] for a dose in another unit.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    id: PrescriptionItemId,
    change: Change,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let row = prescription::find_by_item(&app.db.read(context), id).await?.ok_or(Error::NotFound)?;
    app.must_prescribe(context, &row)?;
    let key = app.keys.key(context, row.patient).await?;
    let (again, patient, of) = (app.clone(), row.patient, row.id);
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, change, key) = (again.clone(), change.clone(), key.clone());
        Box::pin(async move {
            let row = prescription::find(tx, of).await?.ok_or(Error::NotFound)?;
            let items = prescription::items(tx, of).await?;
            let mut all = opened(&key, row, items)?;
            let today = app.day_in(&all.row.jurisdiction, tx.now());
            let place = all.items.iter().position(|(row, _)| row.id == id).ok_or(Error::NotFound)?;
            let (before, item) = &all.items[place];
            let item = changed(item.clone(), &change, today)?;
            let after = next_row(&key, before, &item)?;
            all.row.version += 1;
            tx.emit([pharmacy_events::prescription(EventType::PrescriptionChanged, of, tx.now())]);
            tx.context().touched(Touched::new(patient, id, Action::Changed));
            let mut batch = prescription::update(&all.row);
            batch.append(prescription::update_items(std::slice::from_ref(&after)));
            tx.apply(batch).await?;
            all.items[place] = (after, item);
            let outcome = app.shown(&key, all, tx.now())?;
            Ok(Done { resource: of.to_string(), version: outcome.row.version, outcome })
        })
    })
    .await
}

fn changed(item: Item, change: &Change, today: caremesh_kernel::Date) -> Result<Item, Error> {
    match change {
        Change::Amend { dose, unit, instruction } => {
            if *unit != item.prescribed.unit {
                let (field, rule) = ("daily_dose.unit_code", "item.one_unit");
                return Err(ItemFault { index: 0, field, rule }.into());
            }
            Ok(item.amended(*dose, instruction, today)?)
        }
        Change::Hold => Ok(item.moved(ItemState::OnHold, today)?),
        Change::Resume if item.state(today) == ItemState::OnHold => Ok(item.moved(ItemState::Active, today)?),
        // Only what is on hold is taken up again: a draft becomes active by its verification alone.
        Change::Resume => Err(StateForbids { state: item.state(today).name() }.into()),
        Change::Stop => Ok(item.moved(ItemState::Stopped, today)?),
    }
}
