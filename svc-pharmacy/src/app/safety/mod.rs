//! Safety checks: what is known of a patient, the check, and who let which finding pass. Orders ask [`App::assess`] too.

mod check;
mod r#override;
mod profile;

use caremesh_kernel::{Date, PersonId, PharmacistId, PrescriptionId, Timestamp};
use caremesh_mesh::CallContext;
use serde::{Deserialize, Serialize};

pub use check::{Input, run as check};
pub use r#override::run as override_issue;
pub use profile::{get as get_profile, set as set_profile};

use super::prescription::{open, opened};
use super::{App, Error};
use crate::domain::prescription::ItemState;
use crate::domain::safety::{
    Check, Checked, Issue, Profile, Severity, check as run_check, substances, unavailable,
};
use crate::store::safety::{self, OverrideRow};
use crate::store::{prescription, reference};

/// Who let a finding pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The pharmacist.
    pub pharmacist: PharmacistId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

/// A finding with its opaque name, and who let it pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownIssue {
    /// The same at every check of this patient.
    pub id: String,
    /// The finding.
    pub issue: Issue,
    /// Who let it pass.
    pub overridden: Option<Override>,
}

/// A check as it is shown and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckShown {
    /// The findings, most severe first.
    pub issues: Vec<ShownIssue>,
    /// What is not known.
    pub gaps: Vec<crate::domain::safety::Gap>,
    /// When it was made.
    pub at: Timestamp,
    /// Whether something blocks.
    pub blocked: bool,
}

impl CheckShown {
    /// Refuses what must not be handed out.
    ///
    /// # Errors
    /// [`Error::Unsafe`] with the findings that nobody has overridden.
    pub(crate) fn must_pass(&self) -> Result<(), Error> {
        if !self.blocked {
            return Ok(());
        }
        let severe =
            self.issues.iter().filter(|one| one.issue.severity == Severity::High && one.overridden.is_none());
        Err(Error::Unsafe { issues: severe.map(|one| one.id.clone()).collect() })
    }
}

impl App {
    /// Checks medicines for a patient, together with what is on prescription (without `except`) and what the patient declared.
    /// When the reference data cannot be read the answer says so, and blocks high-risk classes: down is not safe.
    ///
    /// # Errors
    /// When the patient's own records cannot be read.
    pub(crate) async fn assess(
        &self,
        context: &CallContext,
        patient: PersonId,
        new: Vec<Checked>,
        except: &[PrescriptionId],
        today: Date,
    ) -> Result<CheckShown, Error> {
        let (profile, _) = self.profile(context, patient).await?;
        let mut medicines = new;
        medicines.extend(self.taken(context, patient, except, today).await?);
        let names = names(&profile, &medicines);
        let reader = self.db.read(context);
        let found = match reference::facts(&reader, reader.kind(), &names).await {
            Ok(facts) => run_check(&profile, &medicines, &facts, self.control.high_risk(), today),
            Err(error) => {
                tracing::error!(call.id = context.call_id(), error = %error, "reference data cannot be read");
                unavailable(&medicines, self.control.high_risk())
            }
        };
        self.with_overrides(context, patient, found).await
    }

    async fn with_overrides(
        &self,
        context: &CallContext,
        patient: PersonId,
        found: Check,
    ) -> Result<CheckShown, Error> {
        let now = self.clock.now();
        let rows = safety::overrides(&self.db.read(context), patient, now).await?;
        let overridden = |issue: &Issue| rows.iter().find(|row| row.issue == self.issue_id(patient, issue));
        let blocked = found.is_blocked(|issue| overridden(issue).is_some());
        let mut issues = Vec::with_capacity(found.issues.len());
        for issue in &found.issues {
            let by = match overridden(issue) {
                Some(row) => Some(self.open_override(context, row).await?),
                None => None,
            };
            issues.push(ShownIssue {
                id: self.issue_id(patient, issue),
                issue: issue.clone(),
                overridden: by,
            });
        }
        Ok(CheckShown { issues, gaps: found.gaps, at: now, blocked })
    }

    async fn open_override(&self, context: &CallContext, row: &OverrideRow) -> Result<Override, Error> {
        let key = self.keys.key(context, row.patient).await?;
        let reason = open(&key, reason_field(&row.issue), &row.reason_sealed)?;
        Ok(Override { pharmacist: row.pharmacist, reason, at: row.created, expires: row.expires })
    }

    /// A finding's opaque name: a keyed hash, because it says what somebody takes.
    fn issue_id(&self, patient: PersonId, issue: &Issue) -> String {
        self.secrets.blind_index("safety.issue", &format!("{patient}|{}", issue.key()))
    }

    /// What the patient takes by prescription: items that can be filled or are suspended.
    async fn taken(
        &self,
        context: &CallContext,
        patient: PersonId,
        except: &[PrescriptionId],
        today: Date,
    ) -> Result<Vec<Checked>, Error> {
        let reader = self.db.read(context);
        let key = self.keys.key(context, patient).await?;
        let mut taken = Vec::new();
        for row in prescription::verified(&reader, patient).await? {
            if except.contains(&row.id) {
                continue;
            }
            let items = prescription::items(&reader, row.id).await?;
            let all = opened(&key, row, items)?;
            let in_use = all.items.iter().filter(|(_, item)| {
                let open = matches!(item.state(today), ItemState::Active | ItemState::OnHold);
                open || item
                    .counters
                    .supply
                    .is_some_and(|supply| supply.left_on(today, item.prescribed.daily_dose) > 0)
            });
            taken.extend(in_use.map(|(_, item)| Checked {
                generic: item.prescribed.generic.clone(),
                atc: item.prescribed.atc.clone(),
                is_new: false,
            }));
        }
        Ok(taken)
    }

    /// What is known of a patient, and its version; nothing is known at version 0.
    pub(crate) async fn profile(
        &self,
        context: &CallContext,
        patient: PersonId,
    ) -> Result<(Profile, i64), Error> {
        let Some(row) = safety::find_profile(&self.db.read(context), patient).await? else {
            return Ok((Profile::default(), 0));
        };
        let key = self.keys.key(context, patient).await?;
        Ok((open(&key, profile_field(&patient.to_string()), &row.sealed)?, row.version))
    }
}

fn names(profile: &Profile, medicines: &[Checked]) -> Vec<String> {
    let generics = medicines.iter().map(|medicine| medicine.generic.as_str());
    let declared = profile.other_medicines.iter().chain(&profile.allergens).flatten().map(String::as_str);
    let mut names: Vec<String> = generics.chain(declared).flat_map(substances).collect();
    names.sort();
    names.dedup();
    names
}

fn profile_field(row: &str) -> caremesh_db::keys::Field<'_> {
    caremesh_db::keys::Field { table: "medication_profile", column: "profile_sealed", row }
}

fn reason_field(row: &str) -> caremesh_db::keys::Field<'_> {
    caremesh_db::keys::Field { table: "safety_override", column: "reason_sealed", row }
}
