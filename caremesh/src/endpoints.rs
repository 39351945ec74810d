//! Where a demo listens, written by `up` for the commands that come after it.
//! Must not know how to listen.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::data::DataFolder;
use crate::files;

/// The addresses of the last `up` of a data folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoints {
    /// The issuer's URL: `iss` of every token.
    pub issuer: String,
    /// The audience of every token.
    pub audience: String,
    /// The gateway's URL.
    pub gateway: String,
}

impl Endpoints {
    /// The gateway's port.
    ///
    /// # Errors
    /// When its URL names none.
    pub fn gateway_port(&self) -> Result<u16> {
        url::Url::parse(&self.gateway)?.port().context("the gateway's URL names no port")
    }

    /// Keeps them in the data folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &DataFolder) -> Result<()> {
        files::write_private(&folder.endpoints(), &serde_json::to_vec_pretty(self)?)
    }

    /// Those of the last `up`.
    ///
    /// # Errors
    /// When `up` never came that far.
    pub fn load(folder: &DataFolder) -> Result<Self> {
        let path = folder.endpoints();
        let text = std::fs::read(&path)
            .with_context(|| format!("{} is not there yet: start `caremesh up` first", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}
