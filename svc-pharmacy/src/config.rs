//! The settings of svc-pharmacy, documented and checked once. Where they come from (file, environment, flags) is the
//! binary's business.

use std::path::PathBuf;

use caremesh_db::Config as DbConfig;
use caremesh_db::host::Stores;
use caremesh_mesh::client::ClientConfig;
use caremesh_mesh::config::ServerConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::search::meilisearch::MeilisearchConfig;
use crate::service::NAME;

/// How svc-pharmacy runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service's own database: `sqlite:///file.db` or `postgres://…`. Secret: it may hold a password.
    pub database_url: SecretString,
    /// The store of data keys, apart from the database and with shorter-lived backups.
    pub keys_url: SecretString,
    /// File of the key-encryption keys; made with mode 0600 when it is not there.
    pub key_file: PathBuf,
    /// File of the key that signs checkpoints of the audit trail; made when it is not there.
    pub audit_key_file: PathBuf,
    /// File to which checkpoints are published: outside the database, where its administrators cannot write.
    pub audit_checkpoint_file: PathBuf,
    /// Where svc-policy serves gRPC, `https://host:port`: prices, holds and persons come from there.
    pub policy_address: String,
    /// How svc-policy is called.
    #[serde(default)]
    pub client: ClientConfig,
    /// How payments are taken.
    #[serde(default)]
    pub payments: PaymentConfig,
    /// Folder in which the gateway keeps documents, to be looked at before a pharmacist works on them. None: what the
    /// gateway's receipts say is believed without a look.
    #[serde(default)]
    pub documents_folder: Option<PathBuf>,
    /// Which engine finds medicines, and where it keeps its index.
    #[serde(default)]
    pub search: SearchConfig,
    /// Connections for reading, 1 to 1,000.
    #[serde(default = "default_read_connections")]
    pub read_connections: u32,
    /// Connections for writing on PostgreSQL, 1 to 1,000.
    #[serde(default = "default_write_connections")]
    pub write_connections: u32,
    /// Milliseconds between two sweeps of expired reservations, 100 to 3,600,000. Correctness does not wait for them.
    #[serde(default = "default_sweep_ms")]
    pub sweep_ms: u64,
    /// Addresses, limits and times of the server.
    #[serde(default)]
    pub server: ServerConfig,
}

fn default_read_connections() -> u32 {
    8
}

fn default_write_connections() -> u32 {
    16
}

fn default_sweep_ms() -> u64 {
    30_000
}

/// Which engine finds medicines.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", tag = "engine")]
pub enum SearchConfig {
    /// The embedded one without a folder: built from the catalogue at every start.
    #[default]
    Memory,
    /// The embedded one.
    Embedded {
        /// Folder of its index, made when it is not there. One process uses it. It can be removed: it is built anew from the
        /// catalogue.
        folder: PathBuf,
    },
    /// Meilisearch.
    Meilisearch(MeilisearchConfig),
}

/// How payments are taken.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentConfig {
    /// Which provider is asked.
    #[serde(default)]
    pub provider: PaymentProvider,
    /// Where the local one keeps its book over a restart; absent: in memory only.
    #[serde(default)]
    pub book_file: Option<PathBuf>,
}

/// Which payment provider is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentProvider {
    /// The local one, for a demo and for tests: it moves no money.
    #[default]
    Local,
}

/// A setting that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pharmacy.{field}: {rule}")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Config {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.database_url.expose_secret() == self.keys_url.expose_secret() {
            return Err(ConfigError {
                field: "keys_url",
                rule: "must be another database than pharmacy.database_url",
            });
        }
        if !(100..=3_600_000).contains(&self.sweep_ms) {
            return Err(ConfigError { field: "sweep_ms", rule: "must be 100 to 3600000" });
        }
        Ok(())
    }

    /// Where the service keeps what it knows.
    #[must_use]
    pub fn stores(&self) -> Stores {
        Stores {
            service: NAME,
            database: self.store(&self.database_url),
            keys: self.store(&self.keys_url),
            key_file: self.key_file.clone(),
            audit_key_file: self.audit_key_file.clone(),
            audit_checkpoint_file: self.audit_checkpoint_file.clone(),
        }
    }

    fn store(&self, url: &SecretString) -> DbConfig {
        let mut config = DbConfig::new(url.expose_secret());
        config.read_connections = self.read_connections;
        config.write_connections = self.write_connections;
        config
    }
}
