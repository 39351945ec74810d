//! Loads the demo data into a new data folder; an old one is left as it is.
//! Must not know what the demo is made of.

use anyhow::{Context, Result};
use caremesh_kernel::Clock;
use caremesh_mesh::tls::LocalCa;

use crate::data::DataFolder;
use crate::demo::{self, DemoPerson, Loader, PersonIds, Signer};
use crate::edge_client;
use crate::endpoints::Endpoints;
use crate::files;
use crate::issuer::Issuer;

impl Signer for Issuer {
    fn token(&self, person: &DemoPerson) -> Result<String> {
        Issuer::token(self, person)
    }

    fn issuer(&self) -> String {
        self.url().to_owned()
    }
}

/// Loads the demo data unless it has been loaded whole. The mark is needed beside the request ids: those
/// are remembered for 30 days only, and a demo may live longer.
///
/// # Errors
/// When a call is refused or the folder cannot be written.
pub(super) async fn once(
    issuer: &Issuer,
    endpoints: &Endpoints,
    folder: &DataFolder,
    authority: &LocalCa,
    clock: &dyn Clock,
) -> Result<()> {
    let digest = demo::digest();
    if std::fs::read_to_string(folder.loaded()).is_ok_and(|mark| mark == digest) {
        return Ok(());
    }
    let gateway = edge_client::channel(endpoints.gateway_port()?, &authority.certificate_path())?;
    let known = PersonIds::load(&folder.person_ids())?;
    let loader = Loader { gateway, signer: issuer, clock };
    let ids = loader.load(known).await.context("the demo data cannot be loaded")?;
    loader.open_pharmacies().await.context("the demo's pharmacies cannot be opened")?;
    ids.save(&folder.person_ids())?;
    issuer.replace_people(demo::people(&ids)?);
    files::write_private(&folder.loaded(), digest.as_bytes())
}
