//! The command line. Must not know what a command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Caremesh: one platform for a health insurer, a pharmacy chain and a telemedicine clinic.
#[derive(Parser)]
#[command(name = "caremesh", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Starts everything in one process with demo data and a demo sign-in, on this machine only.
    Up(Settings),
    /// Runs one component, as a cluster does. It must be migrated before.
    Serve {
        /// Which component.
        component: Component,
        /// Where its settings come from.
        #[command(flatten)]
        settings: Settings,
    },
    /// Prints an access token of a demo person, and nothing else. Good for an hour.
    Token {
        /// The person's short name, as on the sign-in page.
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// Where the demo's settings come from.
        #[command(flatten)]
        settings: Settings,
    },
    /// Brings the databases to the schema of this version: those of the data folder, or those that are configured.
    Migrate(Settings),
    /// Reads a file into a service's store. What is there already stays: an import that broke off is run again.
    Import {
        /// What the file holds.
        what: Imported,
        /// The file.
        file: PathBuf,
        /// Where the settings come from.
        #[command(flatten)]
        settings: Settings,
    },
    /// Works on the stores of data keys, beside running services.
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        what: Keys,
    },
    /// Recomputes what must add up. Exit code 1 on any difference.
    Verify {
        /// What to verify.
        what: Subject,
        /// Where the settings come from.
        #[command(flatten)]
        settings: Settings,
    },
}

/// What `keys` can do.
#[derive(Subcommand)]
pub enum Keys {
    /// Makes a new key-encryption key and wraps every data key with it. One that broke off is gone on with.
    Rotate(Settings),
    /// Prints whose keys were destroyed, a service and a person a line: keep it with each backup.
    Erasures(Settings),
    /// Destroys the keys on such a list again, after a restore of an older backup.
    Replay {
        /// The list.
        file: PathBuf,
        /// Where the settings come from.
        #[command(flatten)]
        settings: Settings,
    },
}

/// Components that run as a process of their own.
#[derive(Clone, Copy, ValueEnum)]
pub enum Component {
    /// The browser and partner edge.
    Gateway,
    /// Plans, families, cover, the benefit engine and the ledger.
    Policy,
    /// Medicines, prescriptions, stock and orders at the insured price.
    Pharmacy,
}

/// What `import` can read.
#[derive(Clone, Copy, ValueEnum)]
pub enum Imported {
    /// A CSV file of medicines: our own columns, or those of the A-Z Medicine Dataset of India.
    Medications,
    /// A CSV file of reference data for safety checks, told by its header: interactions, classes, names, allergies, ages.
    Reference,
}

/// What `verify` can recompute.
#[derive(Clone, Copy, ValueEnum)]
pub enum Subject {
    /// Every balance from its postings, and every constraint.
    Ledger,
    /// Every link of the audit chain and its signed checkpoints.
    Audit,
}

/// Where settings come from: defaults < file < environment < --set.
#[derive(Args, Clone, Default)]
pub struct Settings {
    /// The data folder of `caremesh up`.
    #[arg(long, value_name = "DIR", env = "CAREMESH_DATA")]
    pub data: Option<PathBuf>,
    /// A TOML file with one table per component: [gateway], [policy], [pharmacy], [telemetry], ….
    #[arg(long, value_name = "FILE", env = "CAREMESH_CONFIG")]
    pub config: Option<PathBuf>,
    /// One setting, above file and environment: --set gateway.listen=127.0.0.1:9443
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    if !key.contains('.') {
        return Err(format!("{key:?} names no component; write component.setting=value"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_without_a_component_is_refused() {
        let refused = Cli::try_parse_from(["caremesh", "up", "--set", "listen=1"]).err().expect("refused");
        assert!(refused.to_string().contains("component.setting=value"), "{refused}");
    }
}
