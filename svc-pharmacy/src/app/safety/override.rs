//! OverrideIssue: a registered pharmacist lets a severe finding pass, with a reason, for a year.

use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{CheckShown, Input, Override, reason_field};
use crate::app::change::{Done, Whose};
use crate::app::prescription::seal;
use crate::app::{App, Error, Once};
use crate::domain::safety::Severity;
use crate::store::safety::{OverrideRow, insert_override};

/// Milliseconds for which an override holds: a year, then somebody looks again.
const HOLDS_MS: i64 = 365 * 24 * 3_600 * 1_000;

/// Overrides a finding, once per request_id. Answers the check with the override.
///
/// # Errors
/// [`Error::NotRegistered`]; [`Error::NotFound`] for a finding that this check does not have.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, CheckShown, T>,
    input: Input,
    issue: String,
    reason: String,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let pharmacist = app.pharmacist(context).await?.0.registration.pharmacist;
    let patient = input.patient;
    let found = super::check(app, context, input).await?;
    if !found.issues.iter().any(|one| one.id == issue) {
        return Err(Error::NotFound);
    }
    let key = app.keys.key(context, patient).await?;
    let reason_sealed = seal(&key, reason_field(&issue), &reason)?;
    app.once(context, once, Whose::Shown(patient), move |tx| {
        let at = tx.now();
        let row = OverrideRow {
            patient,
            issue: issue.clone(),
            pharmacist,
            reason_sealed: reason_sealed.clone(),
            created: at,
            expires: at.plus_ms(HOLDS_MS),
        };
        let by = Override { pharmacist, reason: reason.clone(), at, expires: row.expires };
        let outcome = passed(&found, &issue, &by);
        Box::pin(async move {
            tx.context().touched(Touched::new(patient, patient, Action::Changed));
            tx.apply(insert_override(&row)).await?;
            Ok(Done { resource: patient.to_string(), version: 1, outcome })
        })
    })
    .await
}

/// The same check with the finding let pass.
fn passed(found: &CheckShown, issue: &str, by: &Override) -> CheckShown {
    let mut check = found.clone();
    for one in check.issues.iter_mut().filter(|one| one.id == issue) {
        one.overridden = Some(by.clone());
    }
    let severe = |one: &super::ShownIssue| one.issue.severity == Severity::High && one.overridden.is_none();
    check.blocked = check.gaps.iter().any(|gap| gap.blocks) || check.issues.iter().any(severe);
    check
}
