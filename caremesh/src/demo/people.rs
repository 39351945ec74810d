//! The one file of demo people, read by the issuer, by `caremesh token` and by the loader.
//! Must not know any of the three.

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

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
    /// The person record that the token speaks for; staff have none.
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

/// All demo people, families first.
///
/// # Errors
/// When the file that was built in breaks its own form.
pub fn people() -> Result<Vec<DemoPerson>> {
    let file: File = toml::from_str(FILE).context("demo/people.toml")?;
    Ok(file.person)
}

/// The demo person with that handle.
///
/// # Errors
/// Names the handles there are.
pub fn find(handle: &str) -> Result<DemoPerson> {
    let people = people()?;
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

    #[test]
    fn every_handle_subject_and_person_is_there_once() {
        let people = people().expect("the file is well formed");
        let unique = |key: fn(&DemoPerson) -> &str| people.iter().map(key).collect::<HashSet<_>>().len();
        assert_eq!(unique(|person| &person.handle), people.len());
        assert_eq!(unique(|person| &person.subject), people.len());
    }

    #[test]
    fn both_families_have_a_holder_a_spouse_a_child_a_parent_and_an_in_law() {
        let people = people().expect("the file is well formed");
        for family in ["okafor", "sharma"] {
            let of_family = people.iter().filter_map(|person| person.profile.as_ref());
            let relations: Vec<&str> =
                of_family.filter(|it| it.family == family).map(|it| it.relation.as_str()).collect();
            assert_eq!(relations, ["SELF", "SPOUSE", "CHILD", "PARENT", "PARENT_IN_LAW"]);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = find("nobody").expect_err("unknown").to_string();
        assert!(error.contains("\"nobody\"") && error.contains("ngozi"), "{error}");
    }
}
