//! All plan versions and jurisdictions that a deployment knows, checked against each other.

use std::collections::BTreeMap;

use caremesh_kernel::{PlanId, PlanVersionId};

use super::check;
use super::error::PlanError;
use super::jurisdiction::Jurisdiction;
use super::version::PlanVersion;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../plans/", $name)))),*]
    };
}

/// The files that ship with the product: name and text. A name under `jurisdictions/` is a jurisdiction, any other a
/// plan version.
pub const BUILT_IN: &[(&str, &str)] = files![
    "jurisdictions/in.toml",
    "jurisdictions/ng.toml",
    "in-family-floater.toml",
    "in-family-plus.toml",
    "in-individual.toml",
    "in-super-top-up.toml",
    "ng-family-floater.toml",
    "ng-family-plus.toml",
    "ng-individual.toml",
    "ng-partner-care.toml",
];

/// Plan versions and jurisdictions by id and code.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    versions: BTreeMap<PlanVersionId, PlanVersion>,
    jurisdictions: BTreeMap<String, Jurisdiction>,
}

impl Catalogue {
    /// Reads and validates the files. `(name, text)`; see [`BUILT_IN`] for what a name means.
    ///
    /// # Errors
    /// The first [`PlanError`]: a file that breaks a rule, a plan in an unknown jurisdiction or in another currency,
    /// the same plan and label twice.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PlanError> {
        let mut catalogue = Self::default();
        let (jurisdictions, plans): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(name, _)| name.contains("jurisdictions/"));
        for (file, text) in jurisdictions {
            let jurisdiction = Jurisdiction::from_toml(file, text)?;
            catalogue.jurisdictions.insert(jurisdiction.code.clone(), jurisdiction);
        }
        for (file, text) in plans {
            catalogue.add(file, PlanVersion::from_toml(file, text)?)?;
        }
        Ok(catalogue)
    }

    /// The catalogue of the files that ship with the product.
    ///
    /// # Errors
    /// None as shipped: a test reads them.
    pub fn built_in() -> Result<Self, PlanError> {
        Self::from_files(BUILT_IN.iter().copied())
    }

    fn add(&mut self, file: &str, version: PlanVersion) -> Result<(), PlanError> {
        check::against_jurisdiction(file, &version, self.jurisdictions.get(&version.jurisdiction))?;
        let id = version.id();
        if self.versions.contains_key(&id) {
            let rule = format!("plan {} has label {} in another file already", version.code, version.label);
            return Err(PlanError { file: file.to_owned(), path: "label".to_owned(), rule });
        }
        self.versions.insert(id, version);
        Ok(())
    }

    /// The plan version with this id.
    #[must_use]
    pub fn version(&self, id: PlanVersionId) -> Option<&PlanVersion> {
        self.versions.get(&id)
    }

    /// Every plan version, by plan code and then start of sale.
    #[must_use]
    pub fn versions(&self) -> Vec<&PlanVersion> {
        let mut all: Vec<_> = self.versions.values().collect();
        all.sort_by(|a, b| {
            (&a.code, a.on_sale.start(), &a.label).cmp(&(&b.code, b.on_sale.start(), &b.label))
        });
        all
    }

    /// The version of each plan that is sold last, by plan code.
    #[must_use]
    pub fn current_versions(&self) -> Vec<&PlanVersion> {
        let mut newest: BTreeMap<&str, &PlanVersion> = BTreeMap::new();
        for version in self.versions() {
            newest.insert(&version.code, version);
        }
        newest.into_values().collect()
    }

    /// Every version of one plan, by start of sale.
    #[must_use]
    pub fn versions_of(&self, plan: PlanId) -> Vec<&PlanVersion> {
        self.versions().into_iter().filter(|version| version.plan_id() == plan).collect()
    }

    /// The jurisdiction with this ISO 3166-1 alpha-2 code.
    #[must_use]
    pub fn jurisdiction(&self, code: &str) -> Option<&Jurisdiction> {
        self.jurisdictions.get(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_ship_are_valid_and_four_in_each_country() {
        let catalogue = Catalogue::built_in().unwrap();
        for country in ["NG", "IN"] {
            let plans = catalogue.current_versions().into_iter().filter(|plan| plan.jurisdiction == country);
            assert_eq!(plans.count(), 4, "{country}");
        }
    }
}
