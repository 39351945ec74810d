//! CreatePerson: a member enters oneself or somebody whom the member manages from then on; staff enter anybody.

use std::sync::Arc;

use caremesh_db::{Answered, Replay};
use caremesh_kernel::PersonId;
use caremesh_mesh::policy::Relationship;
use caremesh_mesh::{Action, CallContext, Touched};
use futures::future::BoxFuture;
use prost::Message;

use super::{App, Error, Once, events};
use crate::domain::person::{Person, Profile};
use crate::store::person;

/// Who is entered.
#[derive(Clone)]
pub struct Input {
    /// The profile.
    pub profile: Profile,
    /// Somebody whom the caller manages; otherwise the caller's own.
    pub managed: bool,
}

/// Enters a person, once per request_id.
///
/// # Errors
/// [`Error::Field`] for a birth in the future, for a second record of oneself, and for managing somebody without a record
/// of one's own.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Person, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let placed = place(app, context, &input).await;
    // A repetition finds the record of the first call: it must reach the stored answer instead of being refused.
    let (id, managed_by, subject) = match &placed {
        Ok(placed) => placed.clone(),
        Err(_) => (PersonId::from_uuid(app.ids.uuid()), None, None),
    };
    let refused = Arc::new(std::sync::Mutex::new(placed.err()));
    let sealed = app.seal_profile(context, id, &input.profile).await?;
    let once = Arc::new(once);
    let of_work = Arc::clone(&once);
    let answered = app.db.idempotent(
        context,
        &once.request_id,
        &once.request,
        move |tx| {
            let (once, profile, sealed) = (Arc::clone(&of_work), input.profile.clone(), sealed.clone());
            let (refused, subject) = (Arc::clone(&refused), subject.clone());
            Box::pin(async move {
                if let Some(error) = refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
                {
                    return Err(error);
                }
                let now = tx.now();
                let row = person::Row {
                    id,
                    subject,
                    managed_by,
                    profile_sealed: sealed,
                    version: 1,
                    created: now,
                    updated: now,
                };
                let created = Person { id, profile, managed_by, version: 1, created: now, updated: now };
                tx.context().touched(Touched::new(id, id, Action::Created));
                tx.emit([events::person_created(id, now)]);
                let answered: Answered<T> = once.answered(id, 1, &created);
                tx.answer(&answered)?;
                tx.apply(person::insert(&row)).await.map_err(taken)?;
                Ok(answered)
            })
        },
        replayed,
    );
    answered.await
}

type Placed = (PersonId, Option<PersonId>, Option<String>);

/// Whose the new record is, who manages it, and by which name of the issuer it is found again.
async fn place(app: &App, context: &CallContext, input: &Input) -> Result<Placed, Error> {
    if input.profile.birth > app.today_anywhere() {
        return Err(Error::Field { field: "profile.birth_date".to_owned(), rule: "date.not_in_future" });
    }
    let fresh = PersonId::from_uuid(app.ids.uuid());
    if context.granted().contains(&Relationship::Any) {
        return Ok((fresh, None, None));
    }
    let own = app.own_record(context).await?;
    if input.managed {
        let managed = || Error::Field { field: "managed".to_owned(), rule: "person.own_record_first" };
        return Ok((fresh, Some(own.ok_or_else(managed)?), None));
    }
    let subject = context.principal().person().map(|person| app.subject_index(person));
    Ok((own.unwrap_or(fresh), None, subject))
}

/// One record of oneself: the second is refused by the keys of the table.
fn taken(error: caremesh_db::Error) -> Error {
    match error {
        caremesh_db::Error::Duplicate { .. } => {
            Error::Field { field: "managed".to_owned(), rule: "person.own_record_once" }
        }
        other => other.into(),
    }
}

fn replayed(context: &CallContext, replay: Replay) -> BoxFuture<'_, Result<(), Error>> {
    let person = replay.resource.parse::<PersonId>().ok();
    context.touched(Touched::read(person, replay.resource));
    Box::pin(async { Ok(()) })
}
