//! Prescriptions as people work with them, one file a use case; and what these share: opening what is sealed, and who may see
//! whose.

mod cancel;
mod change_item;
mod dispense;
pub(crate) mod fill;
mod get;
mod issue;
mod list;
mod transcribe;
mod upload;
mod verify;
mod work;

use caremesh_db::keys::{Field, PersonKey};
use caremesh_kernel::{Date, PersonId, PrescriptionId, Timestamp, Zone};
use caremesh_mesh::CallContext;
use caremesh_mesh::policy::Relationship;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use cancel::run as cancel;
pub use change_item::{Change, run as change_item};
pub use dispense::{Dispensed, Input as Dispense, run as dispense};
pub use get::{document, run as get};
pub use issue::{Input as Issue, run as issue};
pub use list::{Cursor, run as list};
pub use transcribe::{Input as Transcribe, run as transcribe};
pub use upload::{Announce, Announced, Ticket, complete, run as announce};
pub use verify::{reject, run as verify};
pub use work::{Claimed, run as claim};

use super::safety::CheckShown;
use super::scope::is_granted;
use super::{App, Error};
use crate::domain::prescription::{Encounter, Item, PaperState, Prescribed};
use crate::store::Error as StoreError;
use crate::store::prescription::{self, ItemRow, Row};

/// Who wrote a prescription, when, and in which meeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The prescriber's number in the register.
    pub registration: String,
    /// The day it was written.
    pub issued: Date,
    /// The meeting; none for paper.
    pub encounter: Option<Encounter>,
}

/// A prescription with everything opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub row: Row,
    pub detail: Option<Detail>,
    pub items: Vec<(ItemRow, Item)>,
}

/// A prescription as it is shown at an instant.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its row.
    pub row: Row,
    /// Who wrote it.
    pub detail: Option<Detail>,
    /// Its items.
    pub items: Vec<Item>,
    /// The controlled class of each item.
    pub classes: Vec<String>,
    /// The safety check at verification.
    pub safety: Option<CheckShown>,
    /// Where it stands.
    pub state: PaperState,
    /// The day that it is shown.
    pub today: Date,
}

fn item_field(row: &str) -> Field<'_> {
    Field { table: "prescription_item", column: "content_sealed", row }
}

fn detail_field(row: &str) -> Field<'_> {
    Field { table: "prescription", column: "detail_sealed", row }
}

fn safety_field(row: &str) -> Field<'_> {
    Field { table: "prescription", column: "safety_sealed", row }
}

pub(crate) fn seal<T: Serialize>(key: &PersonKey, field: Field<'_>, value: &T) -> Result<Vec<u8>, Error> {
    let plain = serde_json::to_vec(value).map_err(|_| StoreError::Corrupt("a value to be sealed"))?;
    Ok(key.seal(field, &plain)?)
}

pub(crate) fn open<T: DeserializeOwned>(
    key: &PersonKey,
    field: Field<'_>,
    sealed: &[u8],
) -> Result<T, Error> {
    let plain = key.open(field, sealed)?;
    Ok(serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt("a sealed value"))?)
}

impl App {
    /// The day that it is where the rules of a jurisdiction count.
    pub(crate) fn day_in(&self, jurisdiction: &str, now: Timestamp) -> Date {
        self.control.zone(jurisdiction).cloned().unwrap_or_else(Zone::utc).day_of(now)
    }

    /// The name of a prescriber at the token's issuer as it is stored: a keyed hash.
    pub(crate) fn prescriber_index(&self, context: &CallContext) -> Option<String> {
        let person = context.principal().person()?;
        Some(self.secrets.blind_index("prescription.prescriber", &person.key()))
    }

    /// The prescription, when the caller may see it.
    pub(crate) async fn find_prescription(
        &self,
        context: &CallContext,
        id: PrescriptionId,
    ) -> Result<Row, Error> {
        let row = prescription::find(&self.db.read(context), id).await?.ok_or(Error::NotFound)?;
        self.must_see(context, &row).await?;
        Ok(row)
    }

    /// Refuses a caller who may not see a prescription: services that the contract names, registered pharmacists, its
    /// prescriber, the patient and the patient's family may.
    pub(crate) async fn must_see(&self, context: &CallContext, row: &Row) -> Result<(), Error> {
        if is_granted(context, Relationship::Own) && self.is_prescriber(context, row) {
            return Ok(());
        }
        self.must_see_patient(context, row.patient).await
    }

    /// Refuses a caller who may not see what is kept of a patient.
    pub(crate) async fn must_see_patient(
        &self,
        context: &CallContext,
        patient: PersonId,
    ) -> Result<(), Error> {
        if is_granted(context, Relationship::OwnBranch) && !is_granted(context, Relationship::Any) {
            match self.pharmacist(context).await {
                Ok(_) => return Ok(()),
                Err(Error::NotRegistered) => {}
                Err(error) => return Err(error),
            }
        }
        self.must_see_person(context, patient).await
    }

    /// Refuses whoever is not its prescriber, nor a service that the contract names.
    pub(crate) fn must_prescribe(&self, context: &CallContext, row: &Row) -> Result<(), Error> {
        let may = is_granted(context, Relationship::Any) || self.is_prescriber(context, row);
        if may { Ok(()) } else { Err(Error::NotFound) }
    }

    fn is_prescriber(&self, context: &CallContext, row: &Row) -> bool {
        row.prescriber.is_some() && row.prescriber == self.prescriber_index(context)
    }

    /// Opens a prescription with its items.
    pub(crate) async fn opened(&self, context: &CallContext, row: Row) -> Result<Opened, Error> {
        let key = self.keys.key(context, row.patient).await?;
        let items = prescription::items(&self.db.read(context), row.id).await?;
        opened(&key, row, items)
    }

    /// A prescription as it stands at an instant.
    pub(crate) fn shown(&self, key: &PersonKey, opened: Opened, now: Timestamp) -> Result<Shown, Error> {
        let row = opened.row;
        let items: Vec<Item> = opened.items.into_iter().map(|(_, item)| item).collect();
        let class = |item: &Item| {
            let class = self.control.class(
                &row.jurisdiction,
                &item.prescribed.generic,
                item.prescribed.atc.as_deref(),
            );
            class.map(|class| class.name.clone()).unwrap_or_default()
        };
        let safety = row.safety_sealed.as_deref();
        let safety = safety.map(|sealed| open(key, safety_field(&row.id.to_string()), sealed)).transpose()?;
        Ok(Shown {
            classes: items.iter().map(class).collect(),
            state: row.state.at(row.expires, now),
            today: self.day_in(&row.jurisdiction, now),
            detail: opened.detail,
            items,
            safety,
            row,
        })
    }
}

/// Opens rows with the patient's key: also inside a transaction, where no other store may be asked.
pub(crate) fn opened(key: &PersonKey, row: Row, items: Vec<ItemRow>) -> Result<Opened, Error> {
    let id = row.id.to_string();
    let detail =
        row.detail_sealed.as_deref().map(|sealed| open(key, detail_field(&id), sealed)).transpose()?;
    let items = items.into_iter().map(|item| open_item(key, item)).collect::<Result<_, _>>()?;
    Ok(Opened { row, detail, items })
}

fn open_item(key: &PersonKey, row: ItemRow) -> Result<(ItemRow, Item), Error> {
    let prescribed: Prescribed = open(key, item_field(&row.id.to_string()), &row.content_sealed)?;
    let item = Item { id: row.id, prescribed, stored: row.state, counters: row.counters };
    Ok((row, item))
}

/// The row of an item that changed, at its next version.
fn next_row(key: &PersonKey, row: &ItemRow, item: &Item) -> Result<ItemRow, Error> {
    Ok(ItemRow {
        state: item.stored,
        content_sealed: seal(key, item_field(&item.id.to_string()), &item.prescribed)?,
        counters: item.counters,
        version: row.version + 1,
        ..row.clone()
    })
}

/// The row of a new item.
fn new_row(key: &PersonKey, id: PrescriptionId, position: usize, item: &Item) -> Result<ItemRow, Error> {
    Ok(ItemRow {
        id: item.id,
        prescription: id,
        position: i64::try_from(position).unwrap_or(i64::MAX),
        state: item.stored,
        content_sealed: seal(key, item_field(&item.id.to_string()), &item.prescribed)?,
        quantity: item.prescribed.quantity,
        fills_allowed: i64::from(item.prescribed.fills()),
        counters: item.counters,
        version: 1,
    })
}

impl App {
    /// A prescription without what is sealed: for whoever only needs to know that it is there.
    fn bare(&self, row: Row, now: Timestamp) -> Shown {
        Shown {
            state: row.state.at(row.expires, now),
            today: self.day_in(&row.jurisdiction, now),
            detail: None,
            items: Vec::new(),
            classes: Vec::new(),
            safety: None,
            row,
        }
    }

    /// Refuses a pharmacist who does not hold the lease on a paper. Gives the pharmacist.
    pub(crate) async fn must_work_on(
        &self,
        context: &CallContext,
        id: PrescriptionId,
    ) -> Result<(caremesh_kernel::PharmacistId, Row), Error> {
        let pharmacist = self.pharmacist(context).await?.0.registration.pharmacist;
        let row = prescription::find(&self.db.read(context), id).await?.ok_or(Error::NotFound)?;
        Ok((pharmacist, row))
    }
}

/// Refuses work on a paper whose lease is not the pharmacist's, or no longer.
fn must_hold(row: &Row, pharmacist: caremesh_kernel::PharmacistId, now: Timestamp) -> Result<(), Error> {
    let held = row.state == PaperState::InVerification
        && row.lease.is_some_and(|lease| lease.is_held_by(pharmacist, now));
    if held { Ok(()) } else { Err(Error::NotYours) }
}
