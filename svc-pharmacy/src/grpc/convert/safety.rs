//! Safety checks and medication profiles.

use caremesh_mesh::wire::{self as shared, ToWire as _, Violation};
use caremesh_proto::pharmacy::v1 as wire;

use crate::app::safety::{CheckShown, Override, ShownIssue};
use crate::domain::safety::{Checked, Gap, GapKind, IssueKind, Profile, Severity};

type Checking<T> = Result<T, Violation>;

/// Medicines over the counter, or about to be prescribed.
pub(in crate::grpc) fn medicines_of(medicines: Vec<wire::CheckedMedicine>) -> Vec<Checked> {
    let checked = |medicine: wire::CheckedMedicine| Checked {
        generic: medicine.generic_name,
        atc: Some(medicine.atc_code).filter(|code| !code.is_empty()),
        is_new: true,
    };
    medicines.into_iter().map(checked).collect()
}

/// A profile. What was not declared is not an empty list.
pub(in crate::grpc) fn profile_of(profile: Option<wire::MedicationProfile>) -> Checking<Profile> {
    let profile = shared::required("profile", profile)?;
    let undeclared = |path: &str, declared: bool, list: &[String]| match declared || list.is_empty() {
        true => Ok(()),
        false => Err(Violation::new(path, "declared", "must be declared when something is named")),
    };
    undeclared("profile.allergies_declared", profile.allergies_declared, &profile.allergens)?;
    undeclared(
        "profile.other_medicines_declared",
        profile.other_medicines_declared,
        &profile.other_medicines,
    )?;
    Ok(Profile {
        allergens: profile.allergies_declared.then_some(profile.allergens),
        other_medicines: profile.other_medicines_declared.then_some(profile.other_medicines),
        birth: shared::optional_date("profile.birth_date", profile.birth_date)?,
    })
}

/// A profile.
pub(in crate::grpc) fn profile(profile: &Profile) -> wire::MedicationProfile {
    wire::MedicationProfile {
        allergies_declared: profile.allergens.is_some(),
        allergens: profile.allergens.clone().unwrap_or_default(),
        other_medicines_declared: profile.other_medicines.is_some(),
        other_medicines: profile.other_medicines.clone().unwrap_or_default(),
        birth_date: profile.birth.map(|birth| birth.to_wire()),
    }
}

/// A check.
pub(in crate::grpc) fn check(check: &CheckShown) -> wire::SafetyCheck {
    wire::SafetyCheck {
        issues: check.issues.iter().map(issue).collect(),
        gaps: check.gaps.iter().map(gap).collect(),
        blocked: check.blocked,
        check_time: Some(check.at.to_wire()),
    }
}

fn issue(shown: &ShownIssue) -> wire::DetectedIssue {
    let issue = &shown.issue;
    let kind = match issue.kind {
        IssueKind::Interaction => wire::IssueKind::Interaction,
        IssueKind::Allergy => wire::IssueKind::Allergy,
        IssueKind::DuplicateTherapy => wire::IssueKind::DuplicateTherapy,
        IssueKind::Age => wire::IssueKind::Age,
    };
    let severity = match issue.severity {
        Severity::High => wire::IssueSeverity::High,
        Severity::Moderate => wire::IssueSeverity::Moderate,
        Severity::Low => wire::IssueSeverity::Low,
    };
    wire::DetectedIssue {
        issue_id: shown.id.clone(),
        kind: kind.into(),
        severity: severity.into(),
        first_substance: issue.first.clone(),
        second_substance: issue.second.clone(),
        effect: issue.effect.clone(),
        management: issue.management.clone(),
        source: issue.source.clone(),
        overridden_by: shown.overridden.as_ref().map(overridden),
    }
}

fn overridden(by: &Override) -> wire::IssueOverride {
    wire::IssueOverride {
        pharmacist_id: by.pharmacist.to_string(),
        reason: by.reason.clone(),
        override_time: Some(by.at.to_wire()),
        expire_time: Some(by.expires.to_wire()),
    }
}

fn gap(gap: &Gap) -> wire::SafetyGap {
    let kind = match gap.kind {
        GapKind::AllergiesUnknown => wire::GapKind::AllergiesUnknown,
        GapKind::OtherMedicinesUnknown => wire::GapKind::OtherMedicinesUnknown,
        GapKind::AgeUnknown => wire::GapKind::AgeUnknown,
        GapKind::MedicineUnknown => wire::GapKind::MedicineUnknown,
        GapKind::ReferenceMissing => wire::GapKind::ReferenceMissing,
        GapKind::CheckUnavailable => wire::GapKind::CheckUnavailable,
    };
    wire::SafetyGap { kind: kind.into(), subject: gap.subject.clone(), blocks: gap.blocks }
}
