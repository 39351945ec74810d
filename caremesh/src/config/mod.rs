//! Settings of every component: defaults < file < environment < flags; an unknown one is an error.
//! Must not know what the settings mean: each component has its own documented struct.

mod environment;
mod failure;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use environment::Environment;
use failure::explain;

/// The components a file or the environment may set. Anything else there is a misspelling.
const COMPONENTS: [&str; 7] = ["gateway", "identity", "issuer", "pharmacy", "policy", "telemetry", "tls"];

/// Settings that hold a secret, so that `…_FILE` may name the file they are in.
const SECRETS: [&str; 4] =
    ["pharmacy.database_url", "pharmacy.keys_url", "policy.database_url", "policy.keys_url"];

/// Short names of settings, for the environment and flags, and what they stand for.
const SHORT: [(&str, &str); 4] = [
    ("pharmacy.admin_listen", "pharmacy.server.admin_listen"),
    ("pharmacy.listen", "pharmacy.server.listen"),
    ("policy.admin_listen", "policy.server.admin_listen"),
    ("policy.listen", "policy.server.listen"),
];

/// Where settings come from, lowest first.
pub struct Sources {
    figment: Figment,
}

impl Sources {
    /// Reads the file, if any, and the environment.
    ///
    /// # Errors
    /// When the file is missing or no TOML, a `…_FILE` cannot be read, or a component is unknown.
    pub fn read(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            ensure!(path.is_file(), "the configuration file {} does not exist", path.display());
            // Not `Toml::file`, which searches the parent folders and takes a missing file for an empty one.
            figment = figment.merge(Toml::file_exact(path));
        }
        let environment = Environment::read(environment, &SECRETS)?;
        let sources = Self { figment: figment.merge(environment) };
        sources.refuse_unknown_components()?;
        Ok(sources)
    }

    /// Puts one setting above all others, as a flag does.
    ///
    /// # Errors
    /// When the key names no component.
    pub fn with_flag(self, key: &str, value: impl Serialize) -> Result<Self> {
        let sources = Self { figment: self.figment.merge(Serialized::default(whole(key), value)) };
        sources.refuse_unknown_components()?;
        Ok(sources)
    }

    /// The settings of a component. `defaults` lie below everything else.
    ///
    /// # Errors
    /// Names the setting, where it came from and what is wrong. Never the value: it may be a secret.
    pub fn component<T: DeserializeOwned>(&self, name: &str, defaults: &impl Serialize) -> Result<T> {
        let present = Figment::from(Serialized::default(name, Dict::new()));
        let figment = present.merge(Serialized::default(name, defaults)).merge(self.figment.clone());
        figment.focus(name).extract_lossy().map_err(|error| explain(&figment, name, error))
    }

    /// Whether anything of a component is set.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        self.figment.find_value(name).is_ok()
    }

    fn refuse_unknown_components(&self) -> Result<()> {
        let all: Dict = self.figment.extract().map_err(|error| explain(&self.figment, "", error))?;
        for (name, value) in &all {
            let origin = self.figment.get_metadata(value.tag()).map_or("", |metadata| &metadata.name);
            ensure!(
                COMPONENTS.contains(&name.as_str()),
                "there is no component {name:?} to set (from {origin}); there are: {}",
                COMPONENTS.join(", ")
            );
            ensure!(matches!(value, Value::Dict(..)), "{name} must be a table of settings (from {origin})");
        }
        Ok(())
    }
}

/// What a short name stands for; any other name is whole already.
fn whole(key: &str) -> &str {
    SHORT.iter().find(|(short, _)| *short == key).map_or(key, |(_, whole)| whole)
}

/// The environment of this process.
///
/// # Errors
/// When a variable of ours is not text.
pub fn process_environment() -> Result<Vec<(String, String)>> {
    let ours =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(environment::PREFIX));
    ours.map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        let value = value.into_string().ok().with_context(|| format!("{name} is not UTF-8 text"))?;
        Ok((name, value))
    })
    .collect()
}

/// Reads a file that a `…_FILE` setting names; a line feed at its end is not part of the secret.
fn read_secret(name: &str, path: &str) -> Result<String> {
    let text = std::fs::read_to_string(PathBuf::from(path))
        .with_context(|| format!("{name} names {path}, which cannot be read"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests;
