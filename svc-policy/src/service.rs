//! Puts the service together: settings → stores, keys, plans → use cases → server and workers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caremesh_db::audit::{AuditReport, CheckpointLog, Recorder, Signer};
use caremesh_db::keys::{KeyProvider, KeyStore, LocalKeys, PersonKeys, Secrets};
use caremesh_db::{Db, Error as DbError, Parts as DbParts, Progress};
use caremesh_kernel::{Clock, IdSource, Uuid};
use caremesh_mesh::health::Probe;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::page::PageTokens;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::server::{Running, ServerBuilder, ServerError, ServerParts, Transport};
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_mesh::{Authenticator, CallContext, Deadline, Lifecycle};
use futures::future::BoxFuture;

use crate::app::App;
use crate::app::load_plans::{self, LoadError};
use crate::config::{Config, ConfigError};
use crate::domain::plan::{BUILT_IN, Catalogue, PlanError};
use crate::migration::{KeyMigrator, Migrator};
use crate::store::ledger::{LedgerReport, verify};
use crate::{grpc, worker};

/// The service's name in the mesh.
pub const NAME: &str = "svc-policy";

/// Time that verifying may take: somebody watches it, and may end it.
const VERIFY: Duration = Duration::from_secs(24 * 3600);
/// Time that starting and migrating may take.
const START: Duration = Duration::from_secs(600);
/// Time that transactions under way may take at the end.
const LAST: Duration = Duration::from_secs(10);

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
    /// The workload's certificate names no service.
    #[error("the workload has no SPIFFE id")]
    Identity,
    /// The library refuses a key.
    #[error("a key was refused")]
    Key,
}

/// What the service takes from its surroundings.
pub struct Parts {
    /// Its certificate and the authorities it trusts.
    pub workload: WorkloadIdentity,
    /// Who tells who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Renders the process's metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Gives instants.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
}

/// The service, running.
pub struct Service {
    running: Running,
    db: Db,
    keys: Db,
}

impl Service {
    /// Opens the stores (their schema must be this release's), publishes the plans, and serves until `life` ends.
    ///
    /// # Errors
    /// [`Error`]: whatever is wrong is found here, before the first call.
    pub async fn start(config: Config, parts: Parts, life: &Lifecycle) -> Result<Self, Error> {
        config.check()?;
        let workload = parts.workload.id();
        let provider: Arc<dyn KeyProvider> = Arc::new(LocalKeys::open_or_create(&config.key_file)?);
        let secrets = Secrets::derive(provider.as_ref(), NAME).await?;
        let db = open(&config, &parts, Some(secrets.clone())).await?;
        let keys = Db::connect_with(config.keys(), db_parts(&parts, None)).await?;
        db.check_schema::<Migrator>().await?;
        keys.check_schema::<KeyMigrator>().await?;

        let plans = Arc::new(catalogue(config.plans_folder.as_deref())?);
        load_plans::run(&db, &process(&workload, "load_plans", START), &plans).await?;
        let pages = PageTokens::new(&page_key(provider.as_ref()).await?, Arc::clone(&parts.clock))
            .map_err(|_| Error::Key)?;
        let app = App {
            db: db.clone(),
            plans,
            secrets,
            keys: PersonKeys::new(&keys, provider, NAME),
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
        };
        let signer = Arc::new(Signer::open_or_create(&config.audit_key_file)?);
        let log = CheckpointLog::in_file(&config.audit_checkpoint_file);
        worker::start(&app, &workload, signer, log, Duration::from_millis(config.sweep_ms), life);
        let most = config.server.http2.max_message_bytes;
        let server = ServerBuilder::new(server_parts(config, parts, &db, &keys));
        let running = grpc::add_to(server, app, pages, most).start(life).await?;
        Ok(Self { running, db, keys })
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn admin_address(&self) -> std::net::SocketAddr {
        self.running.admin_address
    }

    /// Waits for the end: calls drained, then the transactions under way, then the pools.
    pub async fn ended(self) {
        self.running.ended().await;
        self.db.drain(LAST).await;
        self.keys.drain(LAST).await;
    }
}

/// Starts the service and waits for its end.
///
/// # Errors
/// As [`Service::start`].
pub async fn serve(config: Config, parts: Parts, life: &Lifecycle) -> Result<(), Error> {
    let service = Service::start(config, parts, life).await?;
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
    let db = Db::connect(config.database()).await?;
    db.migrate::<Migrator>().await?;
    let keys = Db::connect(config.keys()).await?;
    keys.migrate::<KeyMigrator>().await?;
    db.drain(LAST).await;
    keys.drain(LAST).await;
    Ok(())
}

/// Replays every posting and compares with the balances; tells `progress` how many accounts are done.
///
/// # Errors
/// [`Error::Store`] when the database cannot be read. A difference is an answer, not an error.
pub async fn verify_ledger(config: &Config, progress: Progress<'_>) -> Result<LedgerReport, Error> {
    let db = Db::connect(config.database()).await?;
    db.check_schema::<Migrator>().await?;
    let report = verify(&db.read(&command("verify_ledger")?), db.kind(), progress).await;
    db.drain(LAST).await;
    Ok(report?)
}

/// The store of data keys, for what an operator does with it beside the service.
///
/// # Errors
/// [`Error::Store`] when the key file or the database cannot be used.
pub async fn key_store(config: &Config) -> Result<KeyStore, Error> {
    config.check()?;
    let context = command("keys")?;
    Ok(KeyStore::open::<KeyMigrator>(config.keys(), &config.key_file, NAME, context).await?)
}

/// Recomputes the chain of the audit trail and compares it with the published checkpoints; tells `progress` how many lines
/// are done.
///
/// # Errors
/// [`Error::Store`] when database, key or checkpoints cannot be read. A broken link is an answer, not an error.
pub async fn verify_audit(config: &Config, progress: Progress<'_>) -> Result<AuditReport, Error> {
    let db = Db::connect(config.database()).await?;
    db.check_schema::<Migrator>().await?;
    let published = CheckpointLog::in_file(&config.audit_checkpoint_file).read()?;
    let verifier = Signer::open_or_create(&config.audit_key_file)?.verifier();
    let report = db.verify_audit(&command("verify_audit")?, &published, &verifier, progress).await;
    db.drain(LAST).await;
    Ok(report?)
}

async fn open(config: &Config, parts: &Parts, secrets: Option<Secrets>) -> Result<Db, Error> {
    Ok(Db::connect_with(config.database(), db_parts(parts, secrets)).await?)
}

fn db_parts(parts: &Parts, secrets: Option<Secrets>) -> DbParts {
    DbParts { clock: Arc::clone(&parts.clock), ids: Arc::clone(&parts.ids), secrets, ..DbParts::default() }
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

/// All replicas derive the same key, so that a page token of one is good at another.
async fn page_key(provider: &dyn KeyProvider) -> Result<[u8; 32], Error> {
    let key = provider.derive("svc-policy page tokens").await?;
    key.as_slice().try_into().map_err(|_| Error::Key)
}

fn server_parts(config: Config, parts: Parts, db: &Db, keys: &Db) -> ServerParts {
    let probe = |name, db: &Db| Arc::new(StoreProbe { name, db: db.clone() }) as Arc<dyn Probe>;
    ServerParts {
        name: NAME.to_owned(),
        config: config.server,
        descriptor_set: caremesh_proto::FILE_DESCRIPTOR_SET,
        transport: Transport::MutualTls(parts.workload),
        authenticator: parts.authenticator,
        audit: Arc::new(Recorder::start(db)),
        probes: vec![probe("database", db), probe("keys", keys)],
        metrics: parts.metrics,
    }
}

struct StoreProbe {
    name: &'static str,
    db: Db,
}

impl Probe for StoreProbe {
    fn name(&self) -> &str {
        self.name
    }

    fn is_up(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { self.db.ping().await.is_ok() })
    }
}

fn process(workload: &SpiffeId, name: &str, limit: Duration) -> CallContext {
    CallContext::for_process(workload.clone(), name, Purpose::Operations, Uuid::nil(), Deadline::after(limit))
}

/// The context of an operator's command on the machine itself, where no certificate is at hand.
fn command(name: &str) -> Result<CallContext, Error> {
    let workload = SpiffeId::new("caremesh.local", NAME).map_err(|_| Error::Identity)?;
    Ok(process(&workload, name, VERIFY))
}
