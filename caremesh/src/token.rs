//! `caremesh token`: an access token of a demo person for grpcurl and scripts.
//! Must not know the sign-in page.

use std::path::Path;

use anyhow::Result;
use caremesh_kernel::SystemClock;

use crate::data::DataFolder;
use crate::endpoints::Endpoints;
use crate::exit::{Failure, OrFail};
use crate::issuer::{KeyRing, cli_token};
use crate::{demo, terminal};

/// Prints the token, and nothing else, so that it can stand in `$(…)`.
///
/// # Errors
/// When the folder is no demo's or the name is unknown.
pub fn run(root: &Path, name: &str) -> Result<(), Failure> {
    let person = demo::find(name).or_settings()?;
    let token = sign(root, &person).or_environment()?;
    terminal::print_line(&token).or_environment()
}

/// Signs a token with the keys of a data folder.
///
/// # Errors
/// When `up` has never run there.
pub fn sign(root: &Path, person: &demo::DemoPerson) -> Result<String> {
    let folder = DataFolder::open(root)?;
    let endpoints = Endpoints::load(&folder)?;
    let keys = KeyRing::open(&folder.issuer_keys())?;
    cli_token(&keys, &endpoints.issuer, &endpoints.audience, person, &SystemClock)
}
