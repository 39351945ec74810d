//! Puts the service together: settings → stores, keys, plans → use cases → server and workers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caremesh_db::audit::AuditReport;
use caremesh_db::host::{self, WATCHED};
use caremesh_db::keys::KeyStore;
use caremesh_db::{Error as DbError, Progress};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::server::{ServerBuilder, ServerError};

use crate::app::App;
use crate::app::load_plans::{self, LoadError};
use crate::config::{Config, ConfigError};
use crate::domain::plan::{BUILT_IN, Catalogue, PlanError};
use crate::migration::{KeyMigrator, Migrator};
use crate::store::ledger::{LedgerReport, verify};
use crate::{grpc, worker};

pub use caremesh_db::host::{Parts, Service};

/// The service's name in the mesh.
pub const NAME: &str = "svc-policy";

/// Time that publishing the plans may take.
const START: Duration = Duration::from_secs(600);

/// Why the service does not start, or a command of it fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store cannot be opened or has another schema.
    #[error("a store of svc-policy failed")]
    Store(#[from] DbError),
    /// A plan file cannot be read.
    #[error("the plans folder cannot be read")]
    Files(#[from] std::io::Error),
    /// A plan file is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Plans cannot be published.
    #[error(transparent)]
    Plans(#[from] LoadError),
    /// The server does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Opens the stores (their schema must be this release's), publishes the plans, and serves until `life` ends.
///
/// # Errors
/// [`Error`]: whatever is wrong is found here, before the first call.
pub async fn start(config: Config, parts: Parts, life: &Lifecycle) -> Result<Service, Error> {
    config.check()?;
    let workload = parts.workload.id();
    let stores = config.stores().open::<Migrator, KeyMigrator>(&parts).await?;
    let plans = Arc::new(catalogue(config.plans_folder.as_deref())?);
    load_plans::run(&stores.db, &host::process(&workload, "load_plans", START), &plans).await?;
    let app = App {
        db: stores.db.clone(),
        plans,
        secrets: stores.secrets.clone(),
        keys: stores.person_keys(),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
    };
    let stop = stores.start_workers(&workload, life);
    worker::start(&app, &workload, Duration::from_millis(config.sweep_ms), stop, life);
    let most = config.server.http2.max_message_bytes;
    let around = stores.server_parts(config.server, caremesh_proto::FILE_DESCRIPTOR_SET, parts);
    let server = grpc::add_to(ServerBuilder::new(around), app, Arc::clone(&stores.pages), most);
    let running = server.start(life).await?;
    Ok(stores.serving(running))
}

/// Starts the service and waits for its end.
///
/// # Errors
/// As [`start`].
pub async fn serve(config: Config, parts: Parts, life: &Lifecycle) -> Result<(), Error> {
    let service = start(config, parts, life).await?;
    tracing::info!(server.address = %service.address(), "svc-policy listens.");
    service.ended().await;
    Ok(())
}

/// Brings both stores up to this release.
///
/// # Errors
/// [`Error::Store`].
pub async fn migrate(config: &Config) -> Result<(), Error> {
    config.check()?;
    Ok(config.stores().migrate::<Migrator, KeyMigrator>().await?)
}

/// Replays every posting and compares with the balances; tells `progress` how many accounts are done.
///
/// # Errors
/// [`Error::Store`] when the database cannot be read. A difference is an answer, not an error.
pub async fn verify_ledger(config: &Config, progress: Progress<'_>) -> Result<LedgerReport, Error> {
    let verified = config
        .stores()
        .command::<Migrator, _>("verify_ledger", WATCHED, async |db, context| {
            verify(&db.read(&context), db.kind(), progress).await
        })
        .await?;
    Ok(verified?)
}

/// The store of data keys, for what an operator does with it beside the service.
///
/// # Errors
/// [`Error::Store`] when the key file or the database cannot be used.
pub async fn key_store(config: &Config) -> Result<KeyStore, Error> {
    config.check()?;
    Ok(config.stores().key_store::<KeyMigrator>().await?)
}

/// Recomputes the chain of the audit trail and compares it with the published checkpoints; tells `progress` how many lines
/// are done.
///
/// # Errors
/// [`Error::Store`] when database, key or checkpoints cannot be read. A broken link is an answer, not an error.
pub async fn verify_audit(config: &Config, progress: Progress<'_>) -> Result<AuditReport, Error> {
    Ok(config.stores().verify_audit::<Migrator>(progress).await?)
}

/// The plans that ship with the product, and those of a folder: its files, and those of its folder `jurisdictions`.
fn catalogue(folder: Option<&Path>) -> Result<Catalogue, Error> {
    let mut files: Vec<(String, String)> =
        BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    if let Some(folder) = folder {
        read_into(&mut files, folder, "")?;
        read_into(&mut files, &folder.join("jurisdictions"), "jurisdictions/")?;
    }
    Ok(Catalogue::from_files(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))?)
}

fn read_into(files: &mut Vec<(String, String)>, folder: &Path, prefix: &str) -> Result<(), std::io::Error> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((format!("{prefix}{name}"), std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}
