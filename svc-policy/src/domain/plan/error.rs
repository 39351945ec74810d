//! Why a plan or jurisdiction file was refused: file, path inside it, rule.

use std::fmt;

/// A refused plan or jurisdiction file. Says where and which rule, so that its author can mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Name of the file.
    pub file: String,
    /// Path of the field inside the file, `accounts[2].limit`; or line and column where the text does not parse.
    pub path: String,
    /// The rule that it breaks, as a sentence.
    pub rule: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.path, self.rule)
    }
}

impl std::error::Error for PlanError {}

impl PlanError {
    /// The error of the TOML reader, with line and column as its path.
    pub(super) fn unreadable(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self {
            file: file.to_owned(),
            path: format!("line {line}, column {column}"),
            rule: error.message().to_owned(),
        }
    }
}
