//! Starts the gateway and stops it: binds, connects, accepts, drains.
//! Must not know what a call is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use caremesh_mesh::admin::RenderMetrics;
use caremesh_mesh::principal::Authenticator;
use caremesh_mesh::telemetry::MetricsLayer;
use caremesh_mesh::tls::{TlsError, WorkloadIdentity, listen};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::connection::ConnectionRules;
use crate::accept::{Acceptance, Ends, accept};
use crate::admin;
use crate::config::{ConfigError, GatewayConfig};
use crate::edge::{SERVICE, Shared, edge};
use crate::own::{self, Own};
use crate::routing::Routing;
use crate::upstream::keep::{Observer, keep};
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
    /// The certificates do not fit.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
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
        Ok(Self { config, parts, listener, admin })
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
        let upstreams = self.config.upstream_urls()?;
        let routing = Arc::new(Routing::new(own::routes(self.config.reflection), upstreams.len()));
        let own = Arc::new(Own::new(routing.clone()));
        let background = Background::new();
        let metrics = MetricsLayer::server(SERVICE, routing.table().paths());
        let learner = Learner { routing: routing.clone(), own: own.clone(), metrics: metrics.clone() };
        let observer: Arc<dyn Observer> = Arc::new(learner);
        let mut known = Vec::new();
        for (name, url) in upstreams {
            let tls = self.parts.identity.client_config(&name)?;
            let upstream = Upstream::new(name, self.config.upstream_connections);
            if let Some(connector) = Connector::new(&url, tls) {
                keep(&upstream, &connector, &observer, &background.tasks, &background.stop);
            }
            known.push(upstream);
        }
        let page = admin::Page { own: own.clone(), upstreams: known, metrics: self.parts.metrics };
        background.spawn(admin::serve(self.admin, page));

        let edge_tls = match self.parts.edge_tls {
            Some(config) => config,
            None => self.parts.identity.edge_server_config()?,
        };
        let shared = Shared { routing, own: own.clone(), authenticator: self.parts.authenticator, metrics };
        let edge = edge(&self.config, shared)?;
        let connections = TaskTracker::new();
        let close = CancellationToken::new();
        let cut = CancellationToken::new();
        let accepting = tokio::spawn(accept(
            listen(self.listener, edge_tls),
            edge,
            acceptance(&self.config),
            connections.clone(),
            Ends { soft: close.clone(), hard: cut.clone() },
        ));

        shutdown.cancelled().await;
        // Load balancers look at the health before we close the door in front of them.
        own.drain();
        tokio::time::sleep(self.config.drain.notice()).await;
        close.cancel();
        let _ = accepting.await;
        connections.close();
        if tokio::time::timeout(self.config.drain.limit(), connections.wait()).await.is_err() {
            tracing::warn!(
                connection.count = connections.len(),
                "Calls that outlasted the drain limit are cut off."
            );
            cut.cancel();
            connections.wait().await;
        }
        background.end().await;
        Ok(())
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
        },
    }
}

/// Tasks that end with the gateway, not with the last call.
struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    fn new() -> Self {
        Self { tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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
