//! From a parsed command line to the command that does it.
//! Must not know how any of them works.

use std::path::PathBuf;

use crate::cli::{Cli, Command, Keys, Settings};
use crate::config::{Sources, process_environment};
use crate::exit::{Failure, OrFail};
use crate::{admin, import, keys, serve, token, up};

/// Where `up` keeps its data when nobody says otherwise.
const DEFAULT_DATA: &str = "data";

/// Runs a command to its end.
///
/// # Errors
/// With the kind of failure that becomes the exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    caremesh_mesh::tls::install_provider();
    match cli.command {
        Command::Token { name, settings } => token::run(&data_of(&settings), &name),
        Command::Up(settings) => up::run(&data_of(&settings), &sources(&settings)?),
        Command::Serve { component, settings } => serve::run(component, &sources(&settings)?),
        Command::Migrate(settings) => admin::migrate(settings.data.as_deref(), &sources(&settings)?),
        Command::Import { what, file, settings } => {
            import::run(what, &file, settings.data.as_deref(), &sources(&settings)?)
        }
        Command::Keys { what } => on_keys(what),
        Command::Verify { what, settings } => {
            admin::verify(what, settings.data.as_deref(), &sources(&settings)?)
        }
    }
}

fn on_keys(what: Keys) -> Result<(), Failure> {
    match what {
        Keys::Rotate(settings) => keys::rotate(settings.data.as_deref(), &sources(&settings)?),
        Keys::Erasures(settings) => keys::erasures(settings.data.as_deref(), &sources(&settings)?),
        Keys::Replay { file, settings } => {
            keys::replay(&file, settings.data.as_deref(), &sources(&settings)?)
        }
    }
}

fn data_of(settings: &Settings) -> PathBuf {
    settings.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA))
}

fn sources(settings: &Settings) -> Result<Sources, Failure> {
    let environment = process_environment().or_settings()?;
    let sources = Sources::read(settings.config.as_deref(), environment.into_iter()).or_settings()?;
    let set = settings.set.iter();
    set.cloned().try_fold(sources, |sources, (key, value)| sources.with_flag(&key, value)).or_settings()
}
