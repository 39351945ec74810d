//! ListPlans and GetPlanVersion: the price list, public and without any person. And what other use cases ask of plans.

use caremesh_kernel::PlanVersionId;

use super::{App, Error};
use crate::domain::plan::{Jurisdiction, PlanVersion};

impl App {
    /// A plan version with the law that it follows.
    pub(crate) fn plan_and_law(&self, id: PlanVersionId) -> Result<(&PlanVersion, &Jurisdiction), Error> {
        let plan = self.plans.version(id).ok_or(Error::NotFound)?;
        Ok((plan, self.plans.jurisdiction(&plan.jurisdiction).ok_or(Error::NotFound)?))
    }
}

/// The newest version of each plan after a code, by code, at most `limit`; of one jurisdiction if one is named.
#[must_use]
pub fn list<'a>(app: &'a App, jurisdiction: &str, after: Option<&str>, limit: usize) -> Vec<&'a PlanVersion> {
    let wanted = |plan: &&PlanVersion| jurisdiction.is_empty() || plan.jurisdiction == jurisdiction;
    let later = |plan: &&PlanVersion| after.is_none_or(|after| plan.code.as_str() > after);
    app.plans.current_versions().into_iter().filter(wanted).filter(later).take(limit).collect()
}

/// One plan version, also one that is no longer sold.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(app: &App, id: PlanVersionId) -> Result<&PlanVersion, Error> {
    app.plans.version(id).ok_or(Error::NotFound)
}
