//! CheckSafety: medicines on prescription and over the counter, together.

use caremesh_kernel::{PersonId, PrescriptionId};
use caremesh_mesh::{CallContext, Touched};

use super::CheckShown;
use crate::app::{App, Error};
use crate::domain::safety::Checked;

/// What is checked.
#[derive(Clone, Debug)]
pub struct Input {
    /// For whom.
    pub patient: PersonId,
    /// With the items of this prescription.
    pub prescription: Option<PrescriptionId>,
    /// With these besides.
    pub medicines: Vec<Checked>,
}

/// The check.
///
/// # Errors
/// [`Error::NotFound`] for a patient, or a prescription of that patient, that the caller may not know.
pub async fn run(app: &App, context: &CallContext, input: Input) -> Result<CheckShown, Error> {
    app.must_see_patient(context, input.patient).await?;
    let mut new = input.medicines;
    let mut jurisdiction = String::new();
    if let Some(id) = input.prescription {
        let row = app.find_prescription(context, id).await?;
        if row.patient != input.patient {
            return Err(Error::NotFound);
        }
        jurisdiction.clone_from(&row.jurisdiction);
        let opened = app.opened(context, row).await?;
        new.extend(opened.items.iter().map(|(_, item)| Checked {
            generic: item.prescribed.generic.clone(),
            atc: item.prescribed.atc.clone(),
            is_new: true,
        }));
    }
    let today = app.day_in(&jurisdiction, app.clock.now());
    let found = app.assess(context, input.patient, new, input.prescription.as_slice(), today).await?;
    // Said last: a first look at a patient makes the patient's key, in a store that has no trail.
    context.touched(Touched::read(input.patient, input.patient));
    if let Some(id) = input.prescription {
        context.touched(Touched::read(input.patient, id));
    }
    Ok(found)
}
