//! The check itself: every new medicine against every other one and against the patient. Knows no store and no clock.

use std::collections::BTreeSet;

use caremesh_kernel::Date;

use super::{
    Allergen, Check, Gap, GapKind, Interaction, Issue, IssueKind, Profile, Reference, Severity, plain_name,
    substances,
};

/// A medicine in a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its substances as written.
    pub generic: String,
    /// Its ATC code, where known.
    pub atc: Option<String>,
    /// Whether it is about to be given. What the patient takes already is looked at only against what is new.
    pub is_new: bool,
}

/// Classes in which a mistake harms most: what cannot be checked is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HighRisk {
    /// ATC codes or beginnings of codes.
    pub atc: Vec<String>,
    /// Substances, for medicines without a code.
    pub substances: Vec<String>,
}

impl HighRisk {
    fn has(&self, one: &One) -> bool {
        self.substances.iter().any(|name| *name == one.name || *name == one.written)
            || any_begins(&one.atc, &self.atc)
    }
}

fn any_begins(codes: &BTreeSet<String>, prefixes: &[String]) -> bool {
    codes.iter().any(|code| prefixes.iter().any(|prefix| code.starts_with(prefix.as_str())))
}

/// One substance of one medicine.
struct One {
    medicine: usize,
    /// The name as it was written, plain.
    written: String,
    /// The one name in the reference data.
    name: String,
    keys: BTreeSet<String>,
    atc: BTreeSet<String>,
    is_new: bool,
}

/// Checks medicines for a patient on a day.
#[must_use]
pub fn check(
    profile: &Profile,
    medicines: &[Checked],
    reference: &Reference,
    high_risk: &HighRisk,
    today: Date,
) -> Check {
    let all = spread(profile, medicines, reference);
    let mut issues = interactions(&all, reference);
    issues.extend(duplicates(&all));
    issues.extend(allergies(profile, &all, reference));
    issues.extend(ages(profile, &all, reference, today));
    issues.sort();
    let mut told = BTreeSet::new();
    issues.retain(|issue| told.insert(issue.key()));
    let mut gaps = gaps(profile, &all, reference, high_risk);
    gaps.sort();
    gaps.dedup();
    Check { issues, gaps }
}

/// The outcome when the check cannot be made: said of each medicine, and blocking for high-risk classes.
#[must_use]
pub fn unavailable(medicines: &[Checked], high_risk: &HighRisk) -> Check {
    let all = spread(&Profile::default(), medicines, &Reference::default());
    let gap = |one: &One| Gap {
        kind: GapKind::CheckUnavailable,
        subject: one.written.clone(),
        blocks: high_risk.has(one),
    };
    Check { issues: Vec::new(), gaps: all.iter().filter(|one| one.is_new).map(gap).collect() }
}

fn spread(profile: &Profile, medicines: &[Checked], reference: &Reference) -> Vec<One> {
    let elsewhere = profile.other_medicines.iter().flatten();
    let elsewhere = elsewhere.map(|name| Checked { generic: name.clone(), atc: None, is_new: false });
    let mut all = Vec::new();
    for (medicine, checked) in medicines.iter().cloned().chain(elsewhere).enumerate() {
        for written in substances(&checked.generic) {
            let name = reference.canonical(&written).to_owned();
            let mut atc = reference.atc.get(&name).cloned().unwrap_or_default();
            atc.extend(checked.atc.clone());
            let keys = reference.keys(&name);
            all.push(One { medicine, written, name, keys, atc, is_new: checked.is_new });
        }
    }
    all
}

/// Pairs of different medicines of which at least one is new. A combination product is one medicine: its own substances are
/// not held against each other.
fn pairs(all: &[One]) -> impl Iterator<Item = (&One, &One)> {
    let with_later = |(place, a)| all.iter().skip(place + 1).map(move |b| (a, b));
    all.iter()
        .enumerate()
        .flat_map(with_later)
        .filter(|(a, b): &(&One, &One)| a.medicine != b.medicine && (a.is_new || b.is_new))
}

fn interactions(all: &[One], reference: &Reference) -> Vec<Issue> {
    let mut issues = Vec::new();
    for (a, b) in pairs(all).filter(|(a, b)| a.name != b.name) {
        // The most severe of several sources counts; the others say the same thing in other words.
        let worst = reference.interactions.iter().filter(|one| act(one, a, b)).min_by_key(|one| one.severity);
        issues.extend(worst.map(|one| Issue {
            severity: one.severity,
            kind: IssueKind::Interaction,
            first: a.name.clone(),
            second: b.name.clone(),
            effect: one.effect.clone(),
            management: one.management.clone(),
            source: one.source.clone(),
        }));
    }
    issues
}

fn act(one: &Interaction, a: &One, b: &One) -> bool {
    let between = |x: &One, y: &One| x.keys.contains(&one.a) && y.keys.contains(&one.b);
    between(a, b) || between(b, a)
}

/// The fifth level of ATC is the substance, the fourth (five characters) the class.
fn duplicates(all: &[One]) -> Vec<Issue> {
    let mut issues = Vec::new();
    for (a, b) in pairs(all) {
        let severity = match a.name == b.name {
            true => Severity::Moderate,
            false if !classes(a).is_disjoint(&classes(b)) => Severity::Low,
            false => continue,
        };
        issues.push(Issue {
            severity,
            kind: IssueKind::DuplicateTherapy,
            first: a.name.clone(),
            second: b.name.clone(),
            effect: "The same substance or class is taken twice.".to_owned(),
            management: "Ask whether both are meant.".to_owned(),
            source: "ATC".to_owned(),
        });
    }
    issues
}

fn classes(one: &One) -> BTreeSet<&str> {
    const CLASS: usize = 5;
    one.atc.iter().filter_map(|code| code.get(..CLASS)).collect()
}

fn allergies(profile: &Profile, all: &[One], reference: &Reference) -> Vec<Issue> {
    let mut issues = Vec::new();
    for declared in profile.allergens.iter().flatten() {
        let plain = plain_name(declared);
        for one in all.iter().filter(|one| one.is_new) {
            let direct = one.name == reference.canonical(&plain) || one.written == plain;
            let severity = if direct { Some(Severity::High) } else { by_class(&plain, one, reference) };
            issues.extend(severity.map(|severity| Issue {
                severity,
                kind: IssueKind::Allergy,
                first: one.name.clone(),
                second: plain.clone(),
                effect: "The patient is allergic to it or to its class.".to_owned(),
                management: "Choose another class, or ask how the allergy showed.".to_owned(),
                source: if direct { "declared" } else { "allergy classes" }.to_owned(),
            }));
        }
    }
    issues
}

fn by_class(declared: &str, one: &One, reference: &Reference) -> Option<Severity> {
    let meant = || reference.allergens.iter().filter(|allergen| names(allergen, declared));
    let itself = meant().any(|allergen| any_begins(&one.atc, &allergen.atc)).then_some(Severity::High);
    let cross = meant().filter(|allergen| any_begins(&one.atc, &allergen.cross_reactive_atc));
    itself.or_else(|| cross.map(|allergen| allergen.cross_severity).min())
}

/// A declared allergy means an allergen when it is one of its terms, singular or plural.
fn names(allergen: &Allergen, declared: &str) -> bool {
    let singular = |text: &str| text.strip_suffix('s').unwrap_or(text).to_owned();
    allergen.terms.iter().any(|term| singular(term) == singular(declared))
}

fn ages(profile: &Profile, all: &[One], reference: &Reference, today: Date) -> Vec<Issue> {
    let Some(birth) = profile.birth else { return Vec::new() };
    let years = birth.age_on(today);
    let mut issues = Vec::new();
    for one in all.iter().filter(|one| one.is_new) {
        let broken = reference.ages.iter().filter(|rule| {
            let outside = years < rule.least_years || rule.below_years.is_some_and(|below| years >= below);
            outside && one.atc.iter().any(|code| code.starts_with(&rule.atc))
        });
        issues.extend(broken.map(|rule| Issue {
            severity: rule.severity,
            kind: IssueKind::Age,
            first: one.name.clone(),
            second: rule.atc.clone(),
            effect: rule.effect.clone(),
            management: String::new(),
            source: rule.source.clone(),
        }));
    }
    issues
}

fn gaps(profile: &Profile, all: &[One], reference: &Reference, high_risk: &HighRisk) -> Vec<Gap> {
    let of_patient = |kind| Gap { kind, subject: String::new(), blocks: false };
    let complete = reference.has_interactions && reference.has_allergens && reference.has_ages;
    let missing = [
        (profile.allergens.is_none(), GapKind::AllergiesUnknown),
        (profile.other_medicines.is_none(), GapKind::OtherMedicinesUnknown),
        (profile.birth.is_none(), GapKind::AgeUnknown),
        (!complete, GapKind::ReferenceMissing),
    ];
    let mut gaps: Vec<Gap> =
        missing.into_iter().filter(|(is, _)| *is).map(|(_, kind)| of_patient(kind)).collect();
    for one in all.iter().filter(|one| !reference.has_interactions || !reference.known.contains(&one.name)) {
        let blocks = one.is_new && high_risk.has(one);
        gaps.push(Gap { kind: GapKind::MedicineUnknown, subject: one.written.clone(), blocks });
    }
    gaps.extend(unknown_allergens(profile, reference));
    gaps
}

/// A declared allergy that nobody can compare with anything is a gap, not a clean answer.
fn unknown_allergens(profile: &Profile, reference: &Reference) -> Vec<Gap> {
    let declared = profile.allergens.iter().flatten().map(|name| plain_name(name));
    let unknown = declared.filter(|name| {
        !reference.allergens.iter().any(|allergen| names(allergen, name))
            && !reference.known.contains(reference.canonical(name))
    });
    unknown.map(|subject| Gap { kind: GapKind::MedicineUnknown, subject, blocks: false }).collect()
}
