//! What every service does alike around its domain: it opens two stores and its keys, serves until its life ends, and
//! answers the commands that an operator gives beside it. Must not know which service it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::{Clock, IdSource};
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::health::Probe;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::page::PageTokens;
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::server::{Running, ServerParts, Transport};
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_mesh::{Authenticator, CallContext, Deadline, Lifecycle};
use futures::future::BoxFuture;
use sea_orm_migration::MigratorTrait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::audit::{AuditReport, CheckpointLog, Recorder, Sealer, Signer};
use crate::feed::Relay;
use crate::keys::{KeyProvider, KeyStore, LocalKeys, PersonKeys, Secrets};
use crate::{Config, Db, Error, Parts as DbParts, Progress};

/// Time that an operator's command may take when nobody waits for an answer but the operator, who may end it.
pub const WATCHED: Duration = Duration::from_secs(24 * 3600);

/// Time that transactions under way may take at the end.
const LAST: Duration = Duration::from_secs(10);

/// What a service takes from its surroundings.
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

/// Where a service keeps what it knows.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The service's name in the mesh; its keys are derived for it.
    pub service: &'static str,
    /// Its own database.
    pub database: Config,
    /// The store of data keys, another database.
    pub keys: Config,
    /// File of the key-encryption keys; made when it is not there.
    pub key_file: PathBuf,
    /// File of the key that signs checkpoints of the audit trail; made when it is not there.
    pub audit_key_file: PathBuf,
    /// File to which checkpoints are published.
    pub audit_checkpoint_file: PathBuf,
}

/// The stores of a service, open.
pub struct Opened {
    service: &'static str,
    /// Its own database.
    pub db: Db,
    /// The store of data keys.
    pub keys: Db,
    /// The service's own keys.
    pub secrets: Secrets,
    /// Its page tokens. All replicas derive the same key, so that a token of one is good at another.
    pub pages: Arc<PageTokens>,
    provider: Arc<dyn KeyProvider>,
    signer: Arc<Signer>,
    checkpoints: Arc<CheckpointLog>,
}

/// A service that serves.
pub struct Service {
    running: Running,
    db: Db,
    keys: Db,
}

impl Stores {
    /// Opens both stores, whose schema must be this release's, and the keys.
    ///
    /// # Errors
    /// [`Error::Schema`] for another schema; otherwise when a store or a key file cannot be used.
    pub async fn open<M: MigratorTrait, K: MigratorTrait>(&self, parts: &Parts) -> Result<Opened, Error> {
        let provider: Arc<dyn KeyProvider> = Arc::new(LocalKeys::open_or_create(&self.key_file)?);
        let secrets = Secrets::derive(provider.as_ref(), self.service).await?;
        let around = |secrets| DbParts {
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
            secrets,
            ..DbParts::default()
        };
        let db = Db::connect_with(self.database.clone(), around(Some(secrets.clone()))).await?;
        let keys = Db::connect_with(self.keys.clone(), around(None)).await?;
        db.check_schema::<M>().await?;
        keys.check_schema::<K>().await?;
        Ok(Opened {
            service: self.service,
            pages: pages(self.service, provider.as_ref(), Arc::clone(&parts.clock)).await?,
            signer: Arc::new(Signer::open_or_create(&self.audit_key_file)?),
            checkpoints: Arc::new(CheckpointLog::in_file(&self.audit_checkpoint_file)),
            db,
            keys,
            secrets,
            provider,
        })
    }

    /// Brings both stores up to this release.
    ///
    /// # Errors
    /// When a store cannot be reached or was migrated by a newer release.
    pub async fn migrate<M: MigratorTrait, K: MigratorTrait>(&self) -> Result<(), Error> {
        let db = Db::connect(self.database.clone()).await?;
        db.migrate::<M>().await?;
        let keys = Db::connect(self.keys.clone()).await?;
        keys.migrate::<K>().await?;
        db.drain(LAST).await;
        keys.drain(LAST).await;
        Ok(())
    }

    /// Does an operator's work on the service's own database, beside the service if that runs.
    ///
    /// # Errors
    /// When the database cannot be opened or has another schema. What `work` answers is passed on.
    pub async fn command<M: MigratorTrait, T>(
        &self,
        name: &str,
        limit: Duration,
        work: impl AsyncFnOnce(&Db, CallContext) -> T,
    ) -> Result<T, Error> {
        let db = Db::connect(self.database.clone()).await?;
        db.check_schema::<M>().await?;
        let done = work(&db, self.operator(name, limit)?).await;
        db.drain(LAST).await;
        Ok(done)
    }

    /// The store of data keys, for what an operator does with it beside the service.
    ///
    /// # Errors
    /// When the key file or the database cannot be used.
    pub async fn key_store<K: MigratorTrait>(&self) -> Result<KeyStore, Error> {
        let context = self.operator("keys", WATCHED)?;
        KeyStore::open::<K>(self.keys.clone(), &self.key_file, self.service, context).await
    }

    /// Recomputes the chain of the audit trail and compares it with the published checkpoints; tells `progress` how many
    /// lines are done.
    ///
    /// # Errors
    /// When database, key or checkpoints cannot be read. A broken link is an answer, not an error.
    pub async fn verify_audit<M: MigratorTrait>(&self, progress: Progress<'_>) -> Result<AuditReport, Error> {
        let published = CheckpointLog::in_file(&self.audit_checkpoint_file).read()?;
        let verifier = Signer::open_or_create(&self.audit_key_file)?.verifier();
        self.command::<M, _>("verify_audit", WATCHED, async |db, context| {
            db.verify_audit(&context, &published, &verifier, progress).await
        })
        .await?
    }

    /// The context of a command on the machine itself, where no certificate is at hand.
    fn operator(&self, name: &str, limit: Duration) -> Result<CallContext, Error> {
        let workload = SpiffeId::new("caremesh.local", self.service)
            .map_err(|_| Error::Config(format!("{} is no name of a service", self.service)))?;
        Ok(process(&workload, name, limit))
    }
}

impl Opened {
    /// The keys of persons.
    #[must_use]
    pub fn person_keys(&self) -> PersonKeys {
        PersonKeys::new(&self.keys, Arc::clone(&self.provider), self.service)
    }

    /// Starts what every service does without being called: it tells its outbox and seals its audit trail. Both end with
    /// `life`, as do the service's own workers when they heed the token.
    #[must_use]
    pub fn start_workers(&self, workload: &SpiffeId, life: &Lifecycle) -> CancellationToken {
        let stop = CancellationToken::new();
        let (ending, told) = (life.ending(), stop.clone());
        life.spawn(async move {
            ending.await;
            told.cancel();
        });
        let relay = Relay::new(&self.db, workload.clone());
        let until = stop.clone();
        life.spawn(async move { relay.run(until).await });
        let log = Arc::clone(&self.checkpoints);
        let sealer = Sealer::new(&self.db, workload.clone(), Arc::clone(&self.signer), log);
        let until = stop.clone();
        life.spawn(async move { sealer.run(until).await });
        stop
    }

    /// What the server needs: readiness comes from both stores, audit goes to the service's own database.
    #[must_use]
    pub fn server_parts(
        &self,
        config: ServerConfig,
        descriptor_set: &'static [u8],
        parts: Parts,
    ) -> ServerParts {
        let probe = |name, db: &Db| Arc::new(StoreProbe { name, db: db.clone() }) as Arc<dyn Probe>;
        ServerParts {
            name: self.service.to_owned(),
            config,
            descriptor_set,
            transport: Transport::MutualTls(parts.workload),
            authenticator: parts.authenticator,
            audit: Arc::new(Recorder::start(&self.db)),
            probes: vec![probe("database", &self.db), probe("keys", &self.keys)],
            metrics: parts.metrics,
        }
    }

    /// The service, whose server runs.
    #[must_use]
    pub fn serving(self, running: Running) -> Service {
        Service { running, db: self.db, keys: self.keys }
    }
}

impl Service {
    /// Where gRPC is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.running.admin_address
    }

    /// Waits for the end: calls drained, then the transactions under way, then the pools.
    pub async fn ended(self) {
        self.running.ended().await;
        self.db.drain(LAST).await;
        self.keys.drain(LAST).await;
    }
}

/// The context of a service's own work, for which nobody waits.
#[must_use]
pub fn process(workload: &SpiffeId, name: &str, limit: Duration) -> CallContext {
    CallContext::for_process(workload.clone(), name, Purpose::Operations, Uuid::nil(), Deadline::after(limit))
}

async fn pages(
    service: &str,
    provider: &dyn KeyProvider,
    clock: Arc<dyn Clock>,
) -> Result<Arc<PageTokens>, Error> {
    let refused = || Error::Config("the key of page tokens was refused".to_owned());
    let key = provider.derive(&format!("{service} page tokens")).await?;
    let key: [u8; 32] = key.as_slice().try_into().map_err(|_| refused())?;
    Ok(Arc::new(PageTokens::new(&key, clock).map_err(|_| refused())?))
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
