//! Settings out of the environment: `CAREMESH_POLICY__DATABASE_URL` is `policy.database_url`.
//! Must not know which settings there are, save for which of them are secrets.

use anyhow::{Result, ensure};
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

use super::{read_secret, whole};

/// What our variables start with. Without `__` they are no settings (`CAREMESH_REQUIRE_TOOLS`).
pub(super) const PREFIX: &str = "CAREMESH_";

/// The settings of the environment.
pub(super) struct Environment {
    settings: Vec<(String, Value)>,
}

impl Environment {
    /// Takes the variables that are settings, and reads the files that `…_FILE` names for secrets.
    pub(super) fn read(variables: impl Iterator<Item = (String, String)>, secrets: &[&str]) -> Result<Self> {
        let mut settings: Vec<(String, Value)> = Vec::new();
        for (name, text) in variables {
            let Some(key) = key_of(&name) else { continue };
            let secret = key.strip_suffix("_file").filter(|key| secrets.contains(key));
            let (key, value) = match secret {
                Some(key) => (whole(key).to_owned(), Value::from(read_secret(&name, &text)?)),
                None => (whole(&key).to_owned(), value_of(&text)),
            };
            let given_before = settings.iter().any(|(other, _)| *other == key);
            ensure!(
                !given_before,
                "{key} is given twice: as a variable and as a file; {name} is one of them"
            );
            settings.push((key, value));
        }
        Ok(Self { settings })
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut all = Dict::new();
        for (key, value) in &self.settings {
            let mut place = &mut all;
            let mut parts = key.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    place.insert(part.to_owned(), value.clone());
                    break;
                }
                let entry = place.entry(part.to_owned()).or_insert_with(|| Value::from(Dict::new()));
                let Value::Dict(_, inner) = entry else {
                    return Err(Error::from(format!("{key} is set, and so is a part of its name")));
                };
                place = inner;
            }
        }
        Ok(Map::from([(Profile::Default, all)]))
    }
}

fn key_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.contains("__").then(|| rest.to_ascii_lowercase().replace("__", "."))
}

/// Text stays text, so that a password of digits is not taken for a number; the struct's own types
/// turn it into numbers and booleans. Lists and tables are written as in TOML.
fn value_of(text: &str) -> Value {
    if text.starts_with(['[', '{']) {
        return text.parse().unwrap_or_else(|_| Value::from(text));
    }
    Value::from(text)
}
