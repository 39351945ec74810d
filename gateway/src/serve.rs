//! Starts the gateway and stops it: binds, connects, accepts, drains.
//! Must not know what a call is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use caremesh_mesh::admin::RenderMetrics;
use caremesh_mesh::principal::Authenticator;
use caremesh_mesh::telemetry::MetricsLayer;
use caremesh_mesh::tls::{Handshakes, TlsError, WorkloadIdentity};
use futures::future::BoxFuture;
use http::Uri;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::connection::ConnectionRules;
use crate::accept::{Acceptance, Ends, Entrance, accept};
use crate::admin;
use crate::certificate::{CertificateError, EdgeCertificate};
use crate::config::{ConfigError, GatewayConfig};
use crate::crew::Crew;
use crate::documents::{Rules, Vault, keep_swept};
use crate::edge::{Edge, SERVICE, Shared, bare, edge};
use crate::own::{self, Own};
use crate::routing::Routing;
use crate::upstream::discover::discover;
use crate::upstream::keep::{Keeping, Observer};
use crate::upstream::learn::Contract;
use crate::upstream::{Connector, Upstream};

/// Why the gateway does not start.
#[derive(Debug, Error)]
pub enum Error {
    /// A value of the configuration breaks its rule.
    #[error("the configuration is not valid")]
    Config(#[from] ConfigError),
    /// A port cannot be listened on.
    #[error("{address} cannot be listened on")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The store of documents, or its key, cannot be used.
    #[error("the store of documents cannot be opened")]
    Documents(#[source] io::Error),
    /// The system gives no thread or no event queue.
    #[error("the threads of the gateway cannot be started")]
    Threads(#[source] io::Error),
    /// The certificates do not fit.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The edge's own certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What the gateway is given besides its configuration.
pub struct Parts {
    /// The gateway's own certificate inside the mesh, which it shows to upstreams.
    pub identity: WorkloadIdentity,
    /// How the edge shows itself; ALPN must offer `h2` and `http/1.1`. `None`: with the certificate
    /// of `identity`, as on a laptop.
    pub edge_tls: Option<Arc<ServerConfig>>,
    /// Verifies the tokens of callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// Renders the process's metrics for the admin port.
    pub metrics: RenderMetrics,
}

/// A gateway whose ports are open and which has not begun to serve.
pub struct Gateway {
    config: GatewayConfig,
    parts: Parts,
    listener: TcpListener,
    admin: TcpListener,
    policy: bool,
}

/// Binds and runs until `shutdown`, then drains.
///
/// # Errors
/// See [`Error`]; once it runs it does not fail.
pub async fn serve(config: GatewayConfig, parts: Parts, shutdown: CancellationToken) -> Result<(), Error> {
    Gateway::bind(config, parts).await?.run(shutdown).await
}

impl Gateway {
    /// Checks the configuration and opens the ports.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bind(config: GatewayConfig, parts: Parts) -> Result<Self, Error> {
        config.check()?;
        let listener = bind(config.listen).await?;
        let admin = bind(config.admin_listen).await?;
        Ok(Self { config, parts, listener, admin, policy: true })
    }

    /// The same gateway without its policy: whoever calls is carried, unasked and unseen. Only to measure
    /// what the policy costs.
    #[must_use]
    pub fn without_policy(self) -> Self {
        Self { policy: false, ..self }
    }

    /// Where the edge listens.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the admin port listens.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `shutdown`, then lets running calls end within the configured limit.
    ///
    /// # Errors
    /// See [`Error`]; once it runs it does not fail.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, parts, listener, admin, policy } = self;
        let urls = config.upstream_urls()?;
        let routing = Arc::new(Routing::new(own::routes(config.reflection), urls.len()));
        let own = Arc::new(Own::new(routing.clone()));
        let metrics = MetricsLayer::server(SERVICE, routing.table().paths());
        let learner =
            Arc::new(Learner { routing: routing.clone(), own: own.clone(), metrics: metrics.clone() });
        let vault = config.documents.as_ref().map(Vault::open).transpose();
        let vault = vault.map_err(|error| Error::Documents(io::Error::other(error)))?;
        let stop = CancellationToken::new();
        let shared = Shared {
            routing,
            own: own.clone(),
            authenticator: parts.authenticator,
            metrics,
            identity: parts.identity.clone(),
            vault: vault.clone(),
            stop: stop.clone(),
        };
        let (tls, watch) = edge_tls(&config, parts.edge_tls, &parts.identity)?;

        let crew = Arc::new(Crew::start(config.threads).map_err(Error::Threads)?);
        let background = Background::new(crew.clone(), learner);
        background.spawn(watch);
        if let (Some(vault), Some(documents)) = (vault, &config.documents) {
            background.spawn(keep_swept(vault, Rules::of(documents)));
        }
        let upstreams = background.connect(urls, config.upstream_connections, &parts.identity)?;
        let page = admin::Page { own: own.clone(), upstreams, metrics: parts.metrics };
        background.spawn(admin::serve(admin, page));

        let entrance = Entrance { listener, handshakes: Handshakes::new(tls), crew };
        let door = if policy {
            Door::open(entrance, edge(&config, shared)?, acceptance(&config))
        } else {
            Door::open(entrance, bare(&config, shared)?, acceptance(&config))
        };
        shutdown.cancelled().await;
        // Load balancers look at the health before we close the door in front of them.
        own.drain();
        tokio::time::sleep(config.drain.notice()).await;
        stop.cancel();
        door.close(config.drain.limit()).await;
        background.end().await;
        Ok(())
    }
}

/// How the edge shows itself, and what keeps that fresh.
fn edge_tls(
    config: &GatewayConfig,
    given: Option<Arc<ServerConfig>>,
    identity: &WorkloadIdentity,
) -> Result<(Arc<ServerConfig>, BoxFuture<'static, ()>), Error> {
    if let Some(files) = &config.certificate {
        let certificate = Arc::new(EdgeCertificate::load(files.clone())?);
        let tls = certificate.server_config()?;
        return Ok((tls, Box::pin(certificate.watch())));
    }
    let tls = match given {
        Some(tls) => tls,
        None => identity.edge_server_config()?,
    };
    Ok((tls, Box::pin(std::future::ready(()))))
}

/// The open port and the connections that came through it.
struct Door {
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    ends: Ends,
}

impl Door {
    fn open(entrance: Entrance, edge: impl Edge, acceptance: Acceptance) -> Self {
        let connections = TaskTracker::new();
        let ends = Ends::default();
        let accepting = tokio::spawn(accept(entrance, edge, acceptance, connections.clone(), ends.clone()));
        Self { accepting, connections, ends }
    }

    /// Nobody comes in any more; calls have `limit` to end, then they are cut off.
    async fn close(self, limit: Duration) {
        self.ends.soft.cancel();
        // A panic there has closed the port as well.
        let _ = self.accepting.await;
        self.connections.close();
        if tokio::time::timeout(limit, self.connections.wait()).await.is_err() {
            tracing::warn!(
                connection.count = self.connections.len(),
                "Calls that outlasted the drain limit are cut off."
            );
            self.ends.hard.cancel();
            self.connections.wait().await;
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })
}

fn acceptance(config: &GatewayConfig) -> Acceptance {
    let limits = &config.limits;
    Acceptance {
        max_connections: limits.max_connections,
        max_per_address: limits.max_connections_per_address,
        rules: ConnectionRules {
            max_streams: limits.max_streams_per_connection,
            header_timeout: limits.header_timeout(),
            max_age: limits.max_connection_age(),
            ping_interval: limits.ping_interval(),
        },
    }
}

/// Tasks that end with the gateway, not with the last call.
struct Background(Arc<Keeping>);

impl Background {
    fn new(crew: Arc<Crew>, observer: Arc<dyn Observer>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Keeping { crew, observer, tasks, stop }))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(self.0.stop.clone().run_until_cancelled_owned(task));
    }

    /// Begins to find the upstreams and to hold connections to them.
    fn connect(
        &self,
        urls: Vec<(String, Vec<Uri>)>,
        connections: usize,
        identity: &WorkloadIdentity,
    ) -> Result<Vec<Arc<Upstream>>, Error> {
        let mut upstreams = Vec::new();
        for (name, urls) in urls {
            let tls = identity.client_config(&name)?;
            let upstream = Upstream::new(name);
            let connectors = urls.iter().filter_map(|url| Connector::new(url, tls.clone())).collect();
            self.spawn(discover(upstream.clone(), connectors, connections, self.0.clone()));
            upstreams.push(upstream);
        }
        Ok(upstreams)
    }

    async fn end(self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// Carries what the upstreams tell to those who answer out of it.
struct Learner {
    routing: Arc<Routing>,
    own: Arc<Own>,
    metrics: MetricsLayer,
}

impl Observer for Learner {
    fn learned(&self, upstream: &Arc<Upstream>, contract: Contract) {
        let services = contract.services.len();
        if self.routing.learn(upstream, contract) {
            self.own.contract_changed();
            self.metrics.methods().learn(self.routing.table().paths());
            tracing::info!(
                upstream.name = upstream.name(),
                service.count = services,
                "The contract of an upstream was learned."
            );
        }
    }

    fn health_changed(&self, _: &Arc<Upstream>) {
        self.own.health_changed();
    }
}
