//! What is wrong with a setting, in a sentence a person can act on. Never shows a value.
//! Must not know any component.

use anyhow::anyhow;
use figment::Figment;
use figment::error::Kind;

/// Turns figment's error into ours.
pub(super) fn explain(figment: &Figment, component: &str, error: figment::Error) -> anyhow::Error {
    let problems: Vec<String> = error.into_iter().map(|error| sentence(figment, component, &error)).collect();
    anyhow!(problems.join("; "))
}

fn sentence(figment: &Figment, component: &str, error: &figment::Error) -> String {
    let mut keys: Vec<String> = (!component.is_empty()).then(|| component.to_owned()).into_iter().collect();
    keys.extend(error.path.iter().cloned());
    if let Kind::UnknownField(name, _) = &error.kind
        && keys.last() != Some(name)
    {
        keys.push(name.clone());
    }
    let key = keys.join(".");
    let problem = problem(&error.kind);
    match origin(figment, &keys) {
        Some(origin) => format!("{key}: {problem} (from {origin})"),
        None => format!("{key}: {problem}"),
    }
}

fn problem(kind: &Kind) -> String {
    match kind {
        Kind::UnknownField(_, known) => format!("there is no such setting; there are: {}", known.join(", ")),
        Kind::MissingField(name) => format!("the setting {name} is missing"),
        Kind::UnknownVariant(_, known) => format!("must be one of: {}", known.join(", ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("must be {expected}"),
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::DuplicateField(name) => format!("{name} is given twice"),
        // The only kind whose text comes from a parser: TOML names line and column, types name their rule.
        Kind::Message(text) => text.clone(),
        _ => "has a form that no setting has".to_owned(),
    }
}

fn origin(figment: &Figment, keys: &[String]) -> Option<String> {
    let key = keys.join(".");
    let value = figment.find_value(&key).ok()?;
    let metadata = figment.get_metadata(value.tag())?;
    let place = match &metadata.source {
        Some(source) => source.to_string(),
        None => metadata.interpolate(&figment::Profile::Default, keys),
    };
    Some(if metadata.name == "the environment" { place } else { format!("{} {place}", metadata.name) })
}
