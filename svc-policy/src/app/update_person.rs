//! UpdatePerson: the named fields of a profile, when it is still the one that was read. Birth date and gender of an insured
//! person change by endorsement, because premium and waiting periods were computed from them.

use std::sync::Arc;

use caremesh_db::{Answered, Error as DbError, Replay};
use caremesh_kernel::PersonId;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{App, Error, Once, events};
use crate::domain::person::{Field, Person, Profile};
use crate::store::{Scope, person};

/// What changes.
#[derive(Clone)]
pub struct Input {
    /// Whose profile.
    pub id: PersonId,
    /// The version that was read.
    pub version: i64,
    /// The new values.
    pub profile: Profile,
    /// Which of them count.
    pub fields: Vec<Field>,
}

/// Changes a profile, once per request_id. `complete` gives the new profile from the stored one: what the mask does not
/// name is not in the request.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], [`Error::Field`].
pub async fn run<R, T, F>(
    app: &App,
    context: &CallContext,
    once: Once<R, Person, T>,
    id: PersonId,
    complete: F,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
    F: FnOnce(&Profile) -> Result<Input, Error>,
{
    let scope = app.scope(context).await?;
    let before = app.get_person(context, &scope, id).await?;
    let input = complete(&before.profile)?;
    let after = before.profile.clone().with(input.profile, &input.fields);
    if after.birth > app.today_anywhere() {
        return Err(Error::Field { field: "profile.birth_date".to_owned(), rule: "date.not_in_future" });
    }
    let needs_endorsement = after.differs_for_cover(&before.profile);
    let sealed = app.seal_profile(context, id, &after).await?;
    let row = person::Row {
        id,
        subject: None,
        managed_by: before.managed_by,
        profile_sealed: sealed,
        version: input.version + 1,
        created: before.created,
        updated: before.updated,
    };
    let person = Person { profile: after, version: input.version + 1, ..before };
    let change = Arc::new(Change { once, row, person, needs_endorsement });
    let of_work = Arc::clone(&change);
    let (again, seen) = (app.clone(), scope.clone());
    let answered = app.db.idempotent(
        context,
        &change.once.request_id,
        &change.once.request,
        move |tx| {
            let change = Arc::clone(&of_work);
            Box::pin(async move { change.write(tx).await })
        },
        move |context, replay| Box::pin(async move { replayed(&again, context, seen, replay).await }),
    );
    answered.await
}

struct Change<R, T> {
    once: Once<R, Person, T>,
    row: person::Row,
    person: Person,
    needs_endorsement: bool,
}

impl<R: Message, T: Message + Default + 'static> Change<R, T> {
    async fn write(&self, tx: &caremesh_db::Tx) -> Result<Answered<T>, Error> {
        if self.needs_endorsement && person::is_insured(tx, self.row.id).await? {
            return Err(Error::Field { field: "update_mask".to_owned(), rule: "person.needs_endorsement" });
        }
        let now = tx.now();
        let row = person::Row { updated: now, ..self.row.clone() };
        let changed = Person { updated: now, ..self.person.clone() };
        tx.context().touched(Touched::new(row.id, row.id, Action::Changed));
        tx.emit([events::person_updated(row.id, now)]);
        let answered = self.once.answered(row.id, row.version, &changed);
        tx.answer(&answered)?;
        tx.apply(person::update(&row)).await.map_err(stale)?;
        Ok(answered)
    }
}

fn stale(error: DbError) -> Error {
    match error {
        DbError::Stale { statement: "person", .. } => Error::Stale,
        other => other.into(),
    }
}

async fn replayed(app: &App, context: &CallContext, scope: Scope, replay: Replay) -> Result<(), Error> {
    let id: PersonId = replay.resource.parse().map_err(|_| Error::NotFound)?;
    person::find(&app.db.read(context), &scope, id).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(id, id));
    Ok(())
}
