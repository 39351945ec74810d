//! What a check found, in one form: a place and a sentence. The only file of xtask that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool's answer is what it prints"
)]

use std::fmt::Display;
use std::process::ExitCode;

/// The outcome of one check: faults fail the build, notes only tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    faults: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// Adds something that must be mended.
    pub(crate) fn fault(&mut self, place: impl Display, what: impl Display) {
        self.faults.push(format!("{place}: {what}"));
    }

    /// Adds something worth knowing.
    pub(crate) fn note(&mut self, what: impl Display) {
        self.notes.push(what.to_string());
    }

    /// The faults, in the order they were found.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Prints everything and answers the exit code.
    pub(crate) fn report(self) -> ExitCode {
        for note in &self.notes {
            println!("{note}");
        }
        for fault in &self.faults {
            eprintln!("error: {fault}");
        }
        if self.faults.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("{} found", self.faults.len());
        ExitCode::FAILURE
    }

    /// Prints why a check could not be made at all.
    pub(crate) fn failed(error: &anyhow::Error) {
        eprintln!("error: {error:#}");
    }
}
