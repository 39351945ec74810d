//! A change under a request_id, as every changing use case here makes one: the work in its transaction, the answer kept with
//! it, and a repetition let in only when the caller may still see the record.

use std::sync::{Arc, Mutex, PoisonError};

use caremesh_db::{Replay, Tx};
use caremesh_kernel::PersonId;
use caremesh_mesh::{CallContext, Touched};
use futures::future::BoxFuture;
use prost::Message;

use super::{App, Error, Once};
use crate::store::prescription;

/// What a change did.
pub(crate) struct Done<O> {
    /// Id of the record.
    pub resource: String,
    /// Its version after the change.
    pub version: i64,
    /// What is answered.
    pub outcome: O,
}

/// What was found out before a transaction because other stores were asked: a refusal is told inside it, so that a repetition
/// reaches the stored answer instead of being refused for what has changed since.
pub(crate) struct Before<T>(Arc<Mutex<Option<Result<T, Error>>>>);

impl<T: Clone> Before<T> {
    /// Keeps what was found out.
    pub(crate) fn new(found: Result<T, Error>) -> Self {
        Self(Arc::new(Mutex::new(Some(found))))
    }

    /// What was found out. A refusal ends the transaction, so it is told once.
    pub(crate) fn get(&self) -> Result<T, Error> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found.as_ref() {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(_)) => found.take().unwrap_or(Err(Error::Stale)),
            None => Err(Error::Stale),
        }
    }
}

impl<T> Clone for Before<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Whose record a repetition shows again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// Nobody's: stock, branches.
    Nobody,
    /// A person's, who must be visible to the caller still.
    Person(PersonId),
    /// The patient's of the prescription that the first call was about.
    OfPrescription,
    /// A person's whom the caller was let in for by other means, checked before the work: a pharmacist's own work.
    Shown(PersonId),
}

impl App {
    /// Makes a change once per request_id.
    pub(crate) async fn once<R, O, T, F>(
        &self,
        context: &CallContext,
        once: Once<R, O, T>,
        whose: Whose,
        work: F,
    ) -> Result<T, Error>
    where
        R: Message + 'static,
        O: Send + 'static,
        T: Message + Default + 'static,
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<Done<O>, Error>> + Send + Sync + 'static,
    {
        let Once { request_id, request, render } = once;
        let work = Arc::new(work);
        let app = self.clone();
        let answered = self.db.idempotent(
            context,
            &request_id,
            &request,
            move |tx| {
                let working = work(tx);
                Box::pin(async move {
                    let done = working.await?;
                    let answer = render(&done.outcome);
                    Ok(caremesh_db::Answered { resource: done.resource, version: done.version, answer })
                })
            },
            move |context, replay| Box::pin(async move { app.shown_again(context, whose, replay).await }),
        );
        answered.await
    }

    async fn shown_again(&self, context: &CallContext, whose: Whose, replay: Replay) -> Result<(), Error> {
        let person = match whose {
            Whose::Nobody => None,
            Whose::Shown(person) => Some(person),
            Whose::OfPrescription => self.patient_of(context, &replay.resource).await?,
            Whose::Person(person) => {
                self.must_see_person(context, person).await?;
                Some(person)
            }
        };
        context.touched(Touched::read(person, replay.resource));
        Ok(())
    }

    async fn patient_of(&self, context: &CallContext, id: &str) -> Result<Option<PersonId>, Error> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let found = prescription::find(&self.db.read(context), id).await?;
        Ok(found.map(|row| row.patient))
    }
}
