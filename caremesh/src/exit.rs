//! Exit codes: what a script may conclude from how a command ended.
//! Must not know any command.

use std::process::ExitCode;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    error: anyhow::Error,
}

/// The reasons a script can act on. Registered in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1: `verify` found a difference.
    Difference = 1,
    /// 2: a setting or an argument is wrong (clap's own code for usage errors).
    Settings = 2,
    /// 3: something this machine must provide is missing: a free port, a readable folder, a database.
    Environment = 3,
    /// 4: anything else.
    Broken = 4,
}

impl Failure {
    /// A difference that `verify` found.
    #[must_use]
    pub fn difference(sentence: String) -> Self {
        Self { kind: Kind::Difference, error: anyhow::Error::msg(sentence) }
    }

    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// What a person reads: the sentence and its causes.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{:#}", self.error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { kind: Kind::Broken, error }
    }
}

/// Says what kind of failure an error is.
pub trait OrFail<T> {
    /// The error is a setting's or an argument's.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_settings(self) -> Result<T, Failure>;

    /// The error is the machine's.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_environment(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_settings(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { kind: Kind::Settings, error: error.into() })
    }

    fn or_environment(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { kind: Kind::Environment, error: error.into() })
    }
}
