//! Puts the service together: settings → stores, keys, svc-policy → use cases → server and workers.

use std::sync::Arc;
use std::time::Duration;

use caremesh_db::audit::AuditReport;
use caremesh_db::host::WATCHED;
use caremesh_db::keys::KeyStore;
use caremesh_db::process::Flow;
use caremesh_db::{Db, Error as DbError, Progress};
use caremesh_mesh::client::{ChannelBuilder, ClientError};
use caremesh_mesh::policy::ContractError;
use caremesh_mesh::port::payment::{LocalPayments, Payments};
use caremesh_mesh::server::{ServerBuilder, ServerError};
use caremesh_mesh::ticket::Tickets;
use caremesh_mesh::{ContractPolicy, Lifecycle};

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

pub use caremesh_db::host::{Parts, Service};

/// The service's name in the mesh.
pub const NAME: &str = "svc-pharmacy";

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
}

/// Opens the stores (their schema must be this release's), and serves until `life` ends.
///
/// # Errors
/// [`Error`]: whatever is wrong is found here, before the first call.
pub async fn start(config: Config, parts: Parts, life: &Lifecycle) -> Result<Service, Error> {
    let payments = match &config.payments.book_file {
        Some(path) => LocalPayments::open(path).map_err(Error::Payments)?,
        None => LocalPayments::default(),
    };
    start_paying(config, parts, Arc::new(payments), life).await
}

/// The same with another payment provider than the one that the settings name.
///
/// # Errors
/// As [`start`].
pub async fn start_paying(
    config: Config,
    parts: Parts,
    payments: Arc<dyn Payments>,
    life: &Lifecycle,
) -> Result<Service, Error> {
    start_rehearsed(config, parts, payments, |flow| flow, life).await
}

/// The same with every process wrapped: whoever rehearses them repeats their steps and lets them fail.
///
/// # Errors
/// As [`start`].
pub async fn start_rehearsed(
    config: Config,
    parts: Parts,
    payments: Arc<dyn Payments>,
    wrap: impl Fn(Arc<dyn Flow>) -> Arc<dyn Flow>,
    life: &Lifecycle,
) -> Result<Service, Error> {
    config.check()?;
    let workload = parts.workload.id();
    let stores = config.stores().open::<Migrator, KeyMigrator>(&parts).await?;
    let contract = Arc::new(ContractPolicy::from_descriptor_set(caremesh_proto::FILE_DESCRIPTOR_SET)?);
    let channels = ChannelBuilder::new(parts.workload.clone(), contract).with_config(config.client.clone());
    let app = App {
        db: stores.db.clone(),
        search: Arc::new(Search::new(index(&config.search)?)),
        policy: PolicyClient::new(channels.build("svc-policy", &config.policy_address)?),
        documents: config.documents_folder.as_deref().map(Documents::in_folder).transpose()?,
        payments,
        control: Arc::new(Control::built_in()?),
        tickets: Tickets::new(parts.workload.clone(), Arc::clone(&parts.clock)),
        secrets: stores.secrets.clone(),
        keys: stores.person_keys(),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
    };
    let stop = stores.start_workers(&workload, life);
    let flows = order::flow::all(&app).into_iter().map(wrap).collect();
    worker::start(&app, &workload, flows, Duration::from_millis(config.sweep_ms), stop, life);
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
    Ok(config.stores().migrate::<Migrator, KeyMigrator>().await?)
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
    let work = async |db: &Db, context| import_reference::run(db, &context, file, progress).await;
    let report = config.stores().command::<Migrator, _>("import_reference", WATCHED, work).await?;
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
    let work = async |db: &Db, context| crate::store::stock::differences(&db.read(&context)).await;
    Ok(config.stores().command::<Migrator, _>("verify_stock", WATCHED, work).await??)
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
    let work = async |db: &Db, context| import::run(db, &context, file, format, progress).await;
    Ok(config.stores().command::<Migrator, _>("import_medications", WATCHED, work).await??)
}

fn index(config: &SearchConfig) -> Result<Arc<dyn MedicationIndex>, IndexError> {
    Ok(match config {
        SearchConfig::Memory => Arc::new(Embedded::in_memory()?),
        SearchConfig::Embedded { folder } => Arc::new(Embedded::open(folder)?),
        SearchConfig::Meilisearch(config) => Arc::new(Meilisearch::new(config)?),
    })
}
