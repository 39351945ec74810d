//! `caremesh token`: an access token of a demo person for grpcurl and scripts.
//! Must not know the sign-in page.

use std::path::Path;

use anyhow::Result;
use caremesh_kernel::SystemClock;

use crate::data::DataFolder;
use crate::demo::{DemoPerson, PersonIds};
use crate::endpoints::Endpoints;
use crate::exit::{Failure, OrFail};
use crate::issuer::{KeyRing, cli_token};
use crate::{demo, terminal};

/// Prints the token, and nothing else, so that it can stand in `$(…)`.
///
/// # Errors
/// When the folder is no demo's or the name is unknown.
pub fn run(root: &Path, name: &str) -> Result<(), Failure> {
    let folder = DataFolder::open(root).or_environment()?;
    let ids = PersonIds::load(&folder.person_ids()).or_environment()?;
    let person = demo::find(name, &ids).or_settings()?;
    let token = sign(&folder, &person).or_environment()?;
    terminal::print_line(&token).or_environment()
}

fn sign(folder: &DataFolder, person: &DemoPerson) -> Result<String> {
    let endpoints = Endpoints::load(folder)?;
    let keys = KeyRing::open(&folder.issuer_keys())?;
    cli_token(&keys, &endpoints.issuer, &endpoints.audience, person, &SystemClock)
}
