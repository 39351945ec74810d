//! What a check finds, and what it could not look at. Knows no source.

use serde::{Deserialize, Serialize};

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IssueKind {
    /// Two medicines act on each other.
    Interaction,
    /// The patient is allergic to it, or to its class.
    Allergy,
    /// The same substance, or the same class, twice.
    DuplicateTherapy,
    /// The patient is too young or too old for it.
    Age,
}

impl IssueKind {
    /// Its name in keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interaction => "INTERACTION",
            Self::Allergy => "ALLERGY",
            Self::DuplicateTherapy => "DUPLICATE_THERAPY",
            Self::Age => "AGE",
        }
    }
}

/// How severe a finding is. The most severe sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Blocks until overridden.
    High,
    /// The patient and the prescriber should know.
    Moderate,
    /// Worth knowing.
    Low,
}

impl Severity {
    /// The severity of a word of reference data: `contraindicated` and `major` block, as does `high`.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "contraindicated" | "major" | "high" => Some(Self::High),
            "moderate" => Some(Self::Moderate),
            "minor" | "low" => Some(Self::Low),
            _ => None,
        }
    }

    /// Its word in the reference tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Moderate => "moderate",
            Self::Low => "low",
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Issue {
    /// How severe.
    pub severity: Severity,
    /// What it is.
    pub kind: IssueKind,
    /// The medicine.
    pub first: String,
    /// The other medicine, the allergen, or the rule.
    pub second: String,
    /// What can happen, as the source says.
    pub effect: String,
    /// What to do, as the source says.
    pub management: String,
    /// Whose data says so.
    pub source: String,
}

impl Issue {
    /// What makes it the same finding at every check: an override holds for it. Names substances, so it is never stored or
    /// shown as it is.
    #[must_use]
    pub fn key(&self) -> String {
        let swapped = self.first > self.second;
        let (a, b) = if swapped { (&self.second, &self.first) } else { (&self.first, &self.second) };
        format!("{}|{a}|{b}", self.kind.name())
    }
}

/// What is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GapKind {
    /// Nobody has declared whether the patient has allergies.
    AllergiesUnknown,
    /// Nobody has declared what else the patient takes.
    OtherMedicinesUnknown,
    /// The patient's birth date is not declared.
    AgeUnknown,
    /// The reference data does not know this substance.
    MedicineUnknown,
    /// No reference data of this kind is loaded.
    ReferenceMissing,
    /// The check could not be made.
    CheckUnavailable,
}

/// Something that is not known, so that nothing can be said about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// What.
    pub kind: GapKind,
    /// The substance it is about; empty for the patient.
    pub subject: String,
    /// Whether it blocks: a medicine of a high-risk class that could not be checked.
    pub blocks: bool,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// The findings, most severe first.
    pub issues: Vec<Issue>,
    /// What is not known.
    pub gaps: Vec<Gap>,
}

impl Check {
    /// Whether something blocks that is not overridden. Only findings can be overridden: nobody can override what nobody has
    /// looked at.
    #[must_use]
    pub fn is_blocked(&self, overridden: impl Fn(&Issue) -> bool) -> bool {
        self.gaps.iter().any(|gap| gap.blocks)
            || self.issues.iter().any(|issue| issue.severity == Severity::High && !overridden(issue))
    }
}
