//! Branches: entering one, its licences, its pharmacists; and what every other use case asks of them.

mod create;
mod licence;
mod list;
mod register;

use caremesh_kernel::BranchId;
use caremesh_mesh::CallContext;
use caremesh_mesh::policy::Relationship;

pub use create::{Input as Create, run as create};
pub use licence::run as record_licence;
pub use list::{Cursor, run as list};
pub use register::{Input as Register, run as register};

use super::scope::is_granted;
use super::{App, Error};
use crate::domain::branch::may_dispense;
use crate::store::branch::{self, Pharmacist, Row};

/// A branch.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(app: &App, context: &CallContext, id: BranchId) -> Result<Row, Error> {
    branch::find(&app.db.read(context), id).await?.ok_or(Error::NotFound)
}

impl App {
    /// A branch whose licences hold now: without them nothing is dispensed, reserved or sold there.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unlicensed`] naming the licence that does not hold.
    pub(crate) async fn licensed_branch(&self, context: &CallContext, id: BranchId) -> Result<Row, Error> {
        let branch = get(self, context, id).await?;
        may_dispense(&branch.licences, branch.today(self.clock.now()))?;
        Ok(branch)
    }

    /// The caller as a registered pharmacist, and the branch.
    ///
    /// # Errors
    /// [`Error::NotRegistered`] when the caller is not registered, or the registration does not hold today.
    pub(crate) async fn pharmacist(&self, context: &CallContext) -> Result<(Pharmacist, Row), Error> {
        let person = context.principal().person().ok_or(Error::NotRegistered)?;
        let subject = self.pharmacist_index(&person.key());
        let found = branch::find_pharmacist(&self.db.read(context), &subject).await?;
        let pharmacist = found.ok_or(Error::NotRegistered)?;
        let branch = get(self, context, pharmacist.registration.branch).await?;
        if !pharmacist.registration.valid.contains(branch.today(self.clock.now())) {
            return Err(Error::NotRegistered);
        }
        Ok((pharmacist, branch))
    }

    /// Refuses whoever may not work on the stock of a branch: an operator may anywhere, a pharmacist at the own one.
    ///
    /// # Errors
    /// [`Error::NotFound`]: another branch is not for them to know.
    pub(crate) async fn must_work_at(&self, context: &CallContext, id: BranchId) -> Result<Row, Error> {
        if !is_granted(context, Relationship::Any) {
            let own = self.pharmacist(context).await.map_err(|error| match error {
                Error::NotRegistered => Error::NotFound,
                other => other,
            })?;
            if own.0.registration.branch != id {
                return Err(Error::NotFound);
            }
        }
        get(self, context, id).await
    }

    /// A pharmacist's name at the token's issuer as it is stored: a keyed hash, because it may be somebody's name.
    pub(crate) fn pharmacist_index(&self, key: &str) -> String {
        self.secrets.blind_index("pharmacist.subject", key)
    }
}
