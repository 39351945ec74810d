//! RegisterPharmacist: who may dispense at a branch. The person is known by the token issuer's name, kept as a keyed hash.

use caremesh_kernel::{BranchId, DateRange, PharmacistId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::branch::Registration;
use crate::store::branch::{self, Pharmacist};

/// Who is registered.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where.
    pub branch: BranchId,
    /// Who vouches for the person in tokens.
    pub issuer: String,
    /// The issuer's name for the person.
    pub subject: String,
    /// Number in the public register.
    pub number: String,
    /// Days of the registration.
    pub valid: DateRange,
}

/// Registers a pharmacist, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for an unknown branch.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Pharmacist, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    super::get(app, context, input.branch).await?;
    let subject = app.pharmacist_index(&format!("{}#{}", input.issuer, input.subject));
    let fresh = PharmacistId::from_uuid(app.ids.uuid());
    app.once(context, once, Whose::Nobody, move |tx| {
        let registration = Registration { pharmacist: fresh, branch: input.branch, valid: input.valid };
        let mut outcome = Pharmacist { registration, number: input.number.clone() };
        let subject = subject.clone();
        Box::pin(async move {
            let id = branch::register(tx, fresh, &subject, &outcome).await?;
            outcome.registration.pharmacist = id;
            tx.context().touched(Touched::new(None, id, Action::Changed));
            Ok(Done { resource: id.to_string(), version: 1, outcome })
        })
    })
    .await
}
