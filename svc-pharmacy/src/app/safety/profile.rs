//! GetMedicationProfile and SetMedicationProfile: what a patient is allergic to, takes besides, and how old.

use caremesh_kernel::PersonId;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::profile_field;
use crate::app::change::{Done, Whose};
use crate::app::prescription::seal;
use crate::app::{App, Error, Once};
use crate::domain::safety::Profile;
use crate::store::Error as StoreError;
use crate::store::safety::{ProfileRow, save_profile};

/// The profile and its version.
///
/// # Errors
/// [`Error::NotFound`] for a patient whom the caller may not know.
pub async fn get(app: &App, context: &CallContext, patient: PersonId) -> Result<(Profile, i64), Error> {
    app.must_see_patient(context, patient).await?;
    context.touched(Touched::read(patient, patient));
    app.profile(context, patient).await
}

/// Replaces the profile, when it is still at the version that was read, once per request_id.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Stale`]; [`Error::Field`] for a birth in the future.
pub async fn set<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, (Profile, i64), T>,
    patient: PersonId,
    profile: Profile,
    version: i64,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    app.must_see_patient(context, patient).await?;
    // Fourteen hours ahead of UTC the day is the latest anywhere.
    let latest = caremesh_kernel::Zone::utc().day_of(app.clock.now().plus_ms(14 * 3_600 * 1_000));
    if profile.birth.is_some_and(|birth| birth > latest) {
        return Err(Error::Field { field: "profile.birth_date".to_owned(), rule: "date.not_in_future" });
    }
    let key = app.keys.key(context, patient).await?;
    let sealed = seal(&key, profile_field(&patient.to_string()), &profile)?;
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let row = ProfileRow { patient, sealed: sealed.clone(), version: version.saturating_add(1) };
        let outcome = (profile.clone(), row.version);
        Box::pin(async move {
            tx.context().touched(Touched::new(patient, patient, Action::Changed));
            tx.apply(save_profile(&row, tx.now())).await.map_err(stale)?;
            Ok(Done { resource: patient.to_string(), version: row.version, outcome })
        })
    })
    .await
}

fn stale(error: StoreError) -> Error {
    match error {
        StoreError::Stale { .. } | StoreError::Duplicate { .. } => Error::Stale,
        other => other.into(),
    }
}
