//! The one file of demo people, read by the issuer, by `caremesh token` and by the loader.
//! Must not know any of the three.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::files;

const FILE: &str = include_str!("../../demo/people.toml");

/// An invented person who can sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoPerson {
    /// Short name for `caremesh token --as` and the sign-in page.
    pub handle: String,
    /// The heading that the sign-in page lists the person under.
    pub group: String,
    /// Full name.
    pub name: String,
    /// What the person is, in a few words.
    pub title: String,
    /// `sub` of the person's tokens.
    pub subject: String,
    /// The record in svc-policy that the person's tokens speak for; `None` for staff, and for families
    /// until the demo has been loaded.
    #[serde(skip)]
    pub person_id: Option<String>,
    /// Roles in lower case, as the contract's `Role` names them.
    pub roles: Vec<String>,
    /// The organisation that staff and partners belong to.
    pub organisation: Option<String>,
    /// What svc-policy is told of the person; staff have none.
    pub profile: Option<Profile>,
}

/// What the loader registers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The contract's `AdministrativeGender` without its prefix.
    pub gender: String,
    /// Day of birth.
    pub born: toml::value::Datetime,
    /// Which demo family the person belongs to.
    pub family: String,
    /// How the person stands to the policyholder: the contract's `Relation` without its prefix.
    pub relation: String,
    /// Telephone number, E.164; children have none.
    pub phone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    person: Vec<DemoPerson>,
}

/// The person ids that svc-policy gave, by handle.
#[derive(Clone, Debug, Default)]
pub struct PersonIds(BTreeMap<String, String>);

impl PersonIds {
    /// Those that the loader has learned; none before it ran.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(text) => {
                let ids = serde_json::from_slice(&text);
                Ok(Self(ids.with_context(|| format!("{} is damaged", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps them for the next start and for `caremesh token`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::write_private(path, &serde_json::to_vec_pretty(&self.0)?)
    }

    /// Remembers one.
    pub fn learn(&mut self, handle: &str, person_id: String) {
        self.0.insert(handle.to_owned(), person_id);
    }

    /// The id of a person.
    #[must_use]
    pub fn of(&self, handle: &str) -> Option<&str> {
        self.0.get(handle).map(String::as_str)
    }
}

/// All demo people, families first, with the ids that are known.
///
/// # Errors
/// When the file that was built in breaks its own form.
pub fn people(ids: &PersonIds) -> Result<Vec<DemoPerson>> {
    let file: File = toml::from_str(FILE).context("demo/people.toml")?;
    let known = |mut person: DemoPerson| {
        person.person_id = ids.of(&person.handle).map(str::to_owned);
        person
    };
    Ok(file.person.into_iter().map(known).collect())
}

/// The demo person with that handle.
///
/// # Errors
/// Names the handles there are.
pub fn find(handle: &str, ids: &PersonIds) -> Result<DemoPerson> {
    let people = people(ids)?;
    let known: Vec<String> = people.iter().map(|person| person.handle.clone()).collect();
    people
        .into_iter()
        .find(|person| person.handle == handle)
        .ok_or_else(|| anyhow!("there is no demo person {handle:?}; --as takes one of: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all() -> Vec<DemoPerson> {
        people(&PersonIds::default()).expect("the file is well formed")
    }

    #[test]
    fn every_handle_and_subject_is_there_once() {
        let people = all();
        let unique = |key: fn(&DemoPerson) -> &str| people.iter().map(key).collect::<HashSet<_>>().len();
        assert_eq!(unique(|person| &person.handle), people.len());
        assert_eq!(unique(|person| &person.subject), people.len());
    }

    #[test]
    fn both_families_have_a_holder_a_spouse_a_child_a_parent_and_an_in_law() {
        let people = all();
        for family in ["okafor", "sharma"] {
            let of_family = people.iter().filter_map(|person| person.profile.as_ref());
            let relations: Vec<&str> =
                of_family.filter(|it| it.family == family).map(|it| it.relation.as_str()).collect();
            assert_eq!(relations, ["SELF", "SPOUSE", "CHILD", "PARENT", "PARENT_IN_LAW"]);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = find("nobody", &PersonIds::default()).expect_err("unknown").to_string();
        assert!(error.contains("\"nobody\"") && error.contains("ngozi"), "{error}");
    }

    #[test]
    fn learned_ids_outlive_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ids.json");
        let mut ids = PersonIds::load(&path).expect("none yet");
        ids.learn("ngozi", "per_1".to_owned());
        ids.save(&path).expect("written");
        let again = PersonIds::load(&path).expect("read");
        assert_eq!(find("ngozi", &again).expect("known").person_id.as_deref(), Some("per_1"));
    }
}
