//! Puts the service together: settings → stores, keys, svc-policy → use cases → server and workers.

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::audit::{AuditReport, CheckpointLog, Recorder, Signer};
use caremesh_db::keys::{KeyProvider, KeyStore, LocalKeys, PersonKeys, Secrets};
use caremesh_db::process::Flow;
use caremesh_db::{Db, Error as DbError, Parts as DbParts, Progress};
use caremesh_kernel::{Clock, IdSource, Uuid};
use caremesh_mesh::client::{ChannelBuilder, ClientError};
use caremesh_mesh::health::Probe;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::page::PageTokens;
use caremesh_mesh::policy::{ContractError, Purpose};
use caremesh_mesh::port::payment::{LocalPayments, Payments};
use caremesh_mesh::server::{Running, ServerBuilder, ServerError, ServerParts, Transport};
use caremesh_mesh::ticket::Tickets;
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_mesh::{Authenticator, CallContext, ContractPolicy, Deadline, Lifecycle};
use futures::future::BoxFuture;

use crate::app::import_reference::{self, ReferenceReport};
use crate::app::{App, order};
use crate::clients::{Documents, PolicyClient};
use crate::config::{Config, ConfigError, SearchConfig};
use crate::domain::prescription::{Control, ControlError};
use crate::import::{self, Format, Report};
use crate::migration::{KeyMigrator, Migrator};
use crate::search::Search;
use crate::search::embedded::Embedded;
use crate::search::index::{IndexError, MedicationIndex};
use crate::search::meilisearch::Meilisearch;
use crate::{grpc, worker};

/// The service's name in the mesh.
pub const NAME: &str = "svc-pharmacy";

/// Time that starting, migrating and verifying may take.
const START: Duration = Duration::from_secs(600);
/// Time that work on the key store may take: somebody watches it, and may end it.
const KEYS: Duration = Duration::from_secs(24 * 3600);
/// Time that transactions under way may take at the end.
const LAST: Duration = Duration::from_secs(10);

/// Why the service does not start, or a command of it fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store cannot be opened or has another schema.
    #[error("a store of svc-pharmacy failed")]
    Store(#[from] DbError),
    /// The local payment book cannot be read.
    #[error("the local payment book cannot be read")]
    Payments(#[source] std::io::Error),
    /// svc-policy's address is none.
    #[error("svc-policy cannot be called")]
    Client(#[from] ClientError),
    /// The contract lacks a policy.
    #[error("the contract is incomplete")]
    Contract(#[from] ContractError),
    /// The search index cannot be opened.
    #[error(transparent)]
    Search(#[from] IndexError),
    /// A file of medicines cannot be read.
    #[error(transparent)]
    Import(#[from] import::Error),
    /// The server does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The folder of documents is none.
    #[error("the folder of documents cannot be used")]
    Documents(#[from] std::io::Error),
    /// The header of a file of reference data is none of those known.
    #[error("the header is none of the reference files that are known")]
    Reference,
    /// A table of medicine classes is wrong.
    #[error(transparent)]
    Classes(#[from] ControlError),
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
    /// Opens the stores (their schema must be this release's), and serves until `life` ends.
    ///
    /// # Errors
    /// [`Error`]: whatever is wrong is found here, before the first call.
    pub async fn start(config: Config, parts: Parts, life: &Lifecycle) -> Result<Self, Error> {
        let payments = match &config.payments.book_file {
            Some(path) => LocalPayments::open(path).map_err(Error::Payments)?,
            None => LocalPayments::default(),
        };
        Self::start_paying(config, parts, Arc::new(payments), life).await
    }

    /// The same with another payment provider than the one that the settings name.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub async fn start_paying(
        config: Config,
        parts: Parts,
        payments: Arc<dyn Payments>,
        life: &Lifecycle,
    ) -> Result<Self, Error> {
        Self::start_rehearsed(config, parts, payments, |flow| flow, life).await
    }

    /// The same with every process wrapped: whoever rehearses them repeats their steps and lets them fail.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub async fn start_rehearsed(
        config: Config,
        parts: Parts,
        payments: Arc<dyn Payments>,
        wrap: impl Fn(Arc<dyn Flow>) -> Arc<dyn Flow>,
        life: &Lifecycle,
    ) -> Result<Self, Error> {
        config.check()?;
        let workload = parts.workload.id();
        let provider: Arc<dyn KeyProvider> = Arc::new(LocalKeys::open_or_create(&config.key_file)?);
        let secrets = Secrets::derive(provider.as_ref(), NAME).await?;
        let db = open(&config, &parts, Some(secrets.clone())).await?;
        let keys = Db::connect_with(config.keys(), db_parts(&parts, None)).await?;
        db.check_schema::<Migrator>().await?;
        keys.check_schema::<KeyMigrator>().await?;

        let contract = Arc::new(ContractPolicy::from_descriptor_set(caremesh_proto::FILE_DESCRIPTOR_SET)?);
        let channels =
            ChannelBuilder::new(parts.workload.clone(), contract).with_config(config.client.clone());
        let policy = PolicyClient::new(channels.build("svc-policy", &config.policy_address)?);
        let pages = PageTokens::new(&page_key(provider.as_ref()).await?, Arc::clone(&parts.clock))
            .map_err(|_| Error::Key)?;
        let app = App {
            db: db.clone(),
            search: Arc::new(Search::new(index(&config.search)?)),
            policy,
            documents: config.documents_folder.as_deref().map(Documents::in_folder).transpose()?,
            payments,
            control: Arc::new(Control::built_in()?),
            tickets: Tickets::new(parts.workload.clone(), Arc::clone(&parts.clock)),
            secrets,
            keys: PersonKeys::new(&keys, provider, NAME),
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
        };
        let signer = Arc::new(Signer::open_or_create(&config.audit_key_file)?);
        let log = CheckpointLog::in_file(&config.audit_checkpoint_file);
        let flows = order::flow::all(&app).into_iter().map(wrap).collect();
        worker::start(&app, &workload, flows, signer, log, Duration::from_millis(config.sweep_ms), life);
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
    tracing::info!(server.address = %service.address(), "svc-pharmacy listens.");
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

/// The store of data keys, for what an operator does with it beside the service.
///
/// # Errors
/// [`Error::Store`] when the key file or the database cannot be used.
pub async fn key_store(config: &Config) -> Result<KeyStore, Error> {
    config.check()?;
    let context = process(&SpiffeId::new("caremesh.local", NAME).map_err(|_| Error::Identity)?, "keys", KEYS);
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

/// Loads a file of reference data for safety checks (interactions, classes, names, allergies, ages): what it is, is told by
/// its header. `progress` is told after every group of rows. May be repeated.
///
/// # Errors
/// [`Error::Store`] when the database fails; [`Error::Reference`] for a file whose header is none of those known.
pub async fn import_reference<F: std::io::Read + Send>(
    config: &Config,
    file: F,
    progress: impl FnMut(&ReferenceReport) + Send,
) -> Result<ReferenceReport, Error> {
    let db = Db::connect(config.database()).await?;
    db.check_schema::<Migrator>().await?;
    let report = import_reference::run(&db, &command("import_reference")?, file, progress).await;
    db.drain(LAST).await;
    report.map_err(|error| match error {
        crate::app::Error::Store(error) => Error::Store(error),
        _ => Error::Reference,
    })
}

/// Compares every lot with its journal and with the reservations that hold it; gives the number of lots that differ.
///
/// # Errors
/// [`Error::Store`] when the database cannot be read. A difference is an answer, not an error.
pub async fn verify_stock(config: &Config) -> Result<i64, Error> {
    let db = Db::connect(config.database()).await?;
    db.check_schema::<Migrator>().await?;
    let differences = crate::store::stock::differences(&db.read(&command("verify_stock")?)).await;
    db.drain(LAST).await;
    Ok(differences?)
}

/// Reads a file of medicines into the catalogue. What is there already and the same stays untouched, so that an import that
/// was cut off is run again. A running service takes the changes into its index by itself.
///
/// # Errors
/// [`Error::Import`] when the file is none of the known formats; rows that cannot be meant are told in the report instead.
pub async fn import_medications(
    config: &Config,
    file: &std::path::Path,
    format: Option<Format>,
    progress: &mut (dyn FnMut(&import::Progress) + Send),
) -> Result<Report, Error> {
    let db = Db::connect(config.database()).await?;
    db.check_schema::<Migrator>().await?;
    let report = import::run(&db, &command("import_medications")?, file, format, progress).await;
    db.drain(LAST).await;
    Ok(report?)
}

fn index(config: &SearchConfig) -> Result<Arc<dyn MedicationIndex>, IndexError> {
    Ok(match config {
        SearchConfig::Memory => Arc::new(Embedded::in_memory()?),
        SearchConfig::Embedded { folder } => Arc::new(Embedded::open(folder)?),
        SearchConfig::Meilisearch(config) => Arc::new(Meilisearch::new(config)?),
    })
}

async fn open(config: &Config, parts: &Parts, secrets: Option<Secrets>) -> Result<Db, Error> {
    Ok(Db::connect_with(config.database(), db_parts(parts, secrets)).await?)
}

fn db_parts(parts: &Parts, secrets: Option<Secrets>) -> DbParts {
    DbParts { clock: Arc::clone(&parts.clock), ids: Arc::clone(&parts.ids), secrets, ..DbParts::default() }
}

/// All replicas derive the same key, so that a page token of one is good at another.
async fn page_key(provider: &dyn KeyProvider) -> Result<[u8; 32], Error> {
    let key = provider.derive("svc-pharmacy page tokens").await?;
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
    Ok(process(&workload, name, START))
}
