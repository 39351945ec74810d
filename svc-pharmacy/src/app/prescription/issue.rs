//! IssuePrescription: a prescription that was signed in a consultation comes in, once per id of the consultation.

use caremesh_kernel::{Date, EpisodeId, PersonId, PrescriptionId, PrescriptionItemId};
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::EventType;
use prost::Message;

use super::{Detail, Shown, detail_field, new_row, opened, seal};
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once, pharmacy_events};
use crate::domain::prescription::{
    Counters, Encounter, Item, ItemState, PaperState, Prescribed, Source, check_items,
};
use crate::store::prescription::{self, Row};

/// What was signed.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its id where it was signed.
    pub source_id: String,
    /// For whom.
    pub patient: PersonId,
    /// Whose rules hold.
    pub jurisdiction: String,
    /// The prescriber's number in the register.
    pub registration: String,
    /// The day.
    pub issued: Date,
    /// The meeting.
    pub encounter: Encounter,
    /// What was prescribed.
    pub items: Vec<Prescribed>,
    /// The unit of each item's daily dose.
    pub dose_units: Vec<Option<String>>,
    /// The care episode.
    pub episode: Option<EpisodeId>,
}

/// Takes a signed prescription in, once per request_id.
///
/// # Errors
/// [`Error::Field`] for a jurisdiction that the product does not know or a day in the future; [`Error::Item`];
/// [`Error::Controlled`] when a class forbids the way they met; [`Error::AlreadyIssued`].
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
    app.check_signed(&input)?;
    let key = app.keys.key(context, input.patient).await?;
    let prescriber = app.prescriber_index(context);
    let (again, patient) = (app.clone(), input.patient);
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, input, key, prescriber) = (again.clone(), input.clone(), key.clone(), prescriber.clone());
        Box::pin(async move {
            if let Some(before) = prescription::find_by_source(tx, &input.source_id).await? {
                return Err(Error::AlreadyIssued(before.id));
            }
            let id = PrescriptionId::from_uuid(tx.uuid());
            let detail = Detail {
                registration: input.registration.clone(),
                issued: input.issued,
                encounter: Some(input.encounter),
            };
            let row = Row {
                id,
                patient,
                jurisdiction: input.jurisdiction.clone(),
                source: Source::Consultation,
                source_id: Some(input.source_id.clone()),
                state: PaperState::Verified,
                detail_sealed: Some(seal(&key, detail_field(&id.to_string()), &detail)?),
                prescriber,
                rejection: None,
                verified_by: None,
                safety_sealed: None,
                document: None,
                lease: None,
                episode: input.episode.or(tx.context().episode_id()),
                version: 1,
                created: tx.now(),
                expires: None,
            };
            let items = new_items(tx, &input.items, ItemState::Active);
            let rows = items.iter().enumerate().map(|(place, item)| new_row(&key, id, place + 1, item));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            tx.emit([pharmacy_events::prescription(EventType::PrescriptionVerified, id, tx.now())]);
            tx.context().touched(Touched::new(patient, id, Action::Created));
            tx.apply(prescription::insert(&row)).await?;
            tx.apply(prescription::insert_items(&rows)).await?;
            let outcome = app.shown(&key, opened(&key, row, rows)?, tx.now())?;
            Ok(Done { resource: id.to_string(), version: 1, outcome })
        })
    })
    .await
}

/// Items with fresh ids.
pub(super) fn new_items(tx: &caremesh_db::Tx, prescribed: &[Prescribed], state: ItemState) -> Vec<Item> {
    let item = |prescribed: &Prescribed| Item {
        id: PrescriptionItemId::from_uuid(tx.uuid()),
        prescribed: prescribed.clone(),
        stored: state,
        counters: Counters::default(),
    };
    prescribed.iter().map(item).collect()
}

impl App {
    fn check_signed(&self, input: &Input) -> Result<(), Error> {
        self.check_written(&input.jurisdiction, input.issued)?;
        check_items(&input.items, &input.dose_units, input.issued)?;
        for item in &input.items {
            let (generic, atc) = (&item.generic, item.atc.as_deref());
            self.control.may_prescribe(&input.jurisdiction, generic, atc, input.encounter)?;
        }
        Ok(())
    }

    /// Refuses a jurisdiction that the product does not know, and a day that has not come there.
    pub(super) fn check_written(&self, jurisdiction: &str, issued: Date) -> Result<(), Error> {
        let field = |field: &str, rule| Error::Field { field: field.to_owned(), rule };
        if self.control.zone(jurisdiction).is_none() {
            return Err(field("jurisdiction_code", "jurisdiction.known"));
        }
        if issued > self.day_in(jurisdiction, self.clock.now()) {
            return Err(field("issue_date", "date.not_in_future"));
        }
        Ok(())
    }
}
