//! The facts that a check goes by, already narrowed to the substances that it is about, and what is known of the patient.
//! Knows no file and no table.

use std::collections::{BTreeMap, BTreeSet};

use caremesh_kernel::Date;
use serde::{Deserialize, Serialize};

use super::Severity;

/// What is known of a patient. None: nobody said; an empty list: somebody said "nothing".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Substances or classes that the patient is allergic to.
    pub allergens: Option<Vec<String>>,
    /// Substances dispensed elsewhere or bought without us.
    pub other_medicines: Option<Vec<String>>,
    /// Day of birth.
    pub birth: Option<Date>,
}

/// Two parties, each a substance (`drug:warfarin`) or a class of them (`class:ORAL ANTICOAGULANTS`), that act on each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interaction {
    /// One party.
    pub a: String,
    /// The other.
    pub b: String,
    /// How severe.
    pub severity: Severity,
    /// What can happen.
    pub effect: String,
    /// What to do.
    pub management: String,
    /// Whose data says so.
    pub source: String,
}

/// What an allergy forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allergen {
    /// Names under which people declare it, in lower case.
    pub terms: Vec<String>,
    /// ATC codes or beginnings of codes that it forbids.
    pub atc: Vec<String>,
    /// Those that it may forbid too.
    pub cross_reactive_atc: Vec<String>,
    /// How severe those are.
    pub cross_severity: Severity,
}

/// Ages for which a medicine is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeRule {
    /// ATC code, or beginning of one.
    pub atc: String,
    /// Completed years below which it is not given; 0: none.
    pub least_years: u32,
    /// Completed years from which on it is not given; none: none.
    pub below_years: Option<u32>,
    /// How severe.
    pub severity: Severity,
    /// What can happen.
    pub effect: String,
    /// Whose data says so.
    pub source: String,
}

/// The facts about the substances of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// The one name of each name that is known by another: `paracetamol` to `acetaminophen`.
    pub canonical: BTreeMap<String, String>,
    /// Substances that the interaction data knows at all, by canonical name.
    pub known: BTreeSet<String>,
    /// Classes of each substance, as keys (`class:…`).
    pub classes: BTreeMap<String, BTreeSet<String>>,
    /// ATC codes of each substance.
    pub atc: BTreeMap<String, BTreeSet<String>>,
    /// Interactions among these substances and classes.
    pub interactions: Vec<Interaction>,
    /// Allergens.
    pub allergens: Vec<Allergen>,
    /// Age rules.
    pub ages: Vec<AgeRule>,
    /// Whether any interaction data is loaded.
    pub has_interactions: bool,
    /// Whether any allergy data is loaded.
    pub has_allergens: bool,
    /// Whether any age rules are loaded.
    pub has_ages: bool,
}

impl Reference {
    /// The one name of a substance.
    #[must_use]
    pub fn canonical<'a>(&'a self, name: &'a str) -> &'a str {
        self.canonical.get(name).map_or(name, String::as_str)
    }

    /// Keys under which interactions name a substance: itself and its classes.
    #[must_use]
    pub fn keys(&self, substance: &str) -> BTreeSet<String> {
        let mut keys = self.classes.get(substance).cloned().unwrap_or_default();
        keys.insert(format!("drug:{substance}"));
        keys
    }
}
