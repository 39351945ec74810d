//! Puts a server together: the one ordered list of layers, health, reflection, the admin port, and the
//! way it ends. It must not know which service it serves.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::{Service, ServiceBuilder};

use crate::access::Access;
use crate::admin::{self, RenderMetrics};
use crate::admission::Admission;
use crate::arrival::Arrival;
use crate::audit::{Audit, AuditSink, AuditStrangers};
use crate::catch_panic::CatchPanic;
use crate::config::{ConfigError, ServerConfig};
use crate::connections;
use crate::deadline::EnforceDeadline;
use crate::draining::EndStreams;
use crate::errors::Errors;
use crate::health::{Health, Probe};
use crate::identify::Identify;
use crate::layer::{AroundLayer, Innermost, OneFuture, Request};
use crate::lifecycle::{Drained, Lifecycle};
use crate::opening::Opening;
use crate::policy::{ContractError, ContractPolicy};
use crate::principal::Authenticator;
use crate::telemetry::{MetricsLayer, TraceLayer};
use crate::tls::{Peer, TlsError, WorkloadIdentity, listen};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The contract leaves something unsaid.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A service that is to be served has no method in the contract.
    #[error("{0} is not in the contract")]
    UnknownService(String),
    /// A port cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The identity gives no TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The contract cannot be offered over reflection.
    #[error("the contract cannot be reflected")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// How callers reach the server.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Mutual TLS under this identity; the peer is the workload its certificate names.
    MutualTls(WorkloadIdentity),
    /// Nobody proves anything: for tests and measurements on one machine.
    Plain,
}

/// Everything a server needs that is not its own.
pub struct ServerParts {
    /// Its name in traces, metrics and logs, `svc-policy`.
    pub name: String,
    /// Limits, times, addresses.
    pub config: ServerConfig,
    /// The contract as an encoded descriptor set, custom options kept.
    pub descriptor_set: &'static [u8],
    /// How callers reach it.
    pub transport: Transport,
    /// Who tells who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Where audit events go.
    pub audit: Arc<dyn AuditSink>,
    /// What must be up for calls to be served.
    pub probes: Vec<Arc<dyn Probe>>,
    /// Renders the process's metrics.
    pub metrics: RenderMetrics,
}

/// Takes services and starts the server.
pub struct ServerBuilder {
    parts: ServerParts,
    services: Vec<String>,
    routes: Routes,
}

/// A server that is running.
#[derive(Debug)]
pub struct Running {
    /// Where gRPC is served.
    pub address: SocketAddr,
    /// Where the admin port is.
    pub admin_address: SocketAddr,
    ended: tokio::task::JoinHandle<Drained>,
}

impl Running {
    /// Waits for the end, and says how the drain went.
    pub async fn ended(self) -> Drained {
        // A panic of the server's own task is as hard an end as there is.
        self.ended.await.unwrap_or(Drained::Cut { tasks: 0 })
    }
}

impl ServerBuilder {
    /// A server of these parts, without services yet.
    #[must_use]
    pub fn new(parts: ServerParts) -> Self {
        Self { parts, services: Vec::new(), routes: Routes::default() }
    }

    /// Serves a generated server too.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a builder adds; nobody sums servers")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.services.push(S::NAME.to_owned());
        self.routes = self.routes.add_service(service);
        self
    }

    /// Listens and serves until `life` ends, then drains.
    ///
    /// # Errors
    /// [`ServerError`]: whatever is wrong is found here, before the first call.
    pub async fn start(self, life: &Lifecycle) -> Result<Running, ServerError> {
        let Self { parts, services, routes } = self;
        parts.config.check()?;
        let contract = served(&parts, &services)?;
        let health = Health::of(&services).await;
        let routes = routes.add_service(HealthServer::new(health.service()));
        let routes = with_reflection(routes, parts.descriptor_set, &services)?;
        // Not a part that ends with `life`: between the signal and the GOAWAY lies the notice.
        let connections = life.part_with_own_end();
        let stack = stack(&parts, Arc::new(contract), routes.prepare(), &connections);

        let listener = bind(parts.config.listen).await?;
        let admin_listener = bind(parts.config.admin_listen).await?;
        let (address, admin_address) = (address_of(&listener)?, address_of(&admin_listener)?);

        let incoming = incoming(listener, &parts.transport)?;
        let serving = connections::serve(incoming, stack, parts.config.http2.clone(), connections.clone());
        connections.spawn(serving);
        connections.spawn(health.clone().probe(parts.probes, parts.config.health.clone(), life.clone()));
        let admin = life.part_with_own_end();
        admin.spawn(admin::serve(admin_listener, health.clone(), parts.metrics, admin.clone()));

        let ending =
            Ending { name: parts.name, config: parts.config, life: life.clone(), health, connections, admin };
        Ok(Running { address, admin_address, ended: tokio::spawn(ending.run()) })
    }
}

/// THE order of a server's layers, outermost first. It is stated nowhere else.
fn stack(
    parts: &ServerParts,
    contract: Arc<ContractPolicy>,
    routes: Routes,
    connections: &Lifecycle,
) -> impl Service<
    Request,
    Response = http::Response<
        impl http_body::Body<Data = bytes::Bytes, Error = tonic::Status> + Send + Unpin + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let stream_grace = Duration::from_millis(parts.config.shutdown.stream_grace_ms);
    let paths: Vec<_> = contract.methods().map(|method| method.path.clone()).collect();
    ServiceBuilder::new()
        // Outermost, so that every answer below is seen, refusals and panics included.
        .layer(TraceLayer::server(&parts.name))
        .layer(MetricsLayer::server(&parts.name, paths.iter().map(String::as_str)))
        // From here inwards a call is one future, not one in a box at every layer.
        .layer(OneFuture)
        // Before anything that asks which method this is, or when the call came.
        .layer(AroundLayer::new(Opening::new(contract)))
        // Inside trace, so that the panic has its ids; outside all that may panic, the layers included.
        .layer(AroundLayer::new(CatchPanic))
        // Before admission: a request that comes byte by byte holds no place while it does.
        .layer(AroundLayer::new(Arrival::new(&parts.config.admission)))
        // Before any work is spent on a call that will be shed: tokens cost a signature check.
        .layer(AroundLayer::new(Admission::new(&parts.config.admission)))
        // Inside admission, so that a stream that was told gives its place back.
        .layer(AroundLayer::new(EndStreams::new(connections.clone(), stream_grace)))
        // Outside identity and audit: fetching keys and committing facts take time out of the same budget.
        .layer(AroundLayer::new(EnforceDeadline))
        // Outside identity, because a refused token is an event too, and goes no further than there.
        .layer(AroundLayer::new(AuditStrangers::new(Arc::clone(&parts.audit))))
        .layer(AroundLayer::new(Identify::new(Arc::clone(&parts.authenticator))))
        // Inside identity, because an event names its caller; outside access, so that refusals are events.
        .layer(AroundLayer::new(Audit::new(Arc::clone(&parts.audit))))
        .layer(AroundLayer::new(Access))
        // Innermost, so that it judges the handler's errors and not the refusals of the layers above.
        .layer(AroundLayer::new(Errors::default()))
        .service(Innermost(routes))
}

/// The part of the contract that this server serves: a method of another service is unknown here.
fn served(parts: &ServerParts, services: &[String]) -> Result<ContractPolicy, ServerError> {
    let contract = ContractPolicy::from_descriptor_set(parts.descriptor_set)?;
    let unknown = services.iter().find(|name| !contract.methods().any(|method| method.service == **name));
    match unknown {
        Some(name) => Err(ServerError::UnknownService(name.clone())),
        None => Ok(contract.serving(services)),
    }
}

/// Reflection under both names that tools ask for, from the bytes that keep the options.
fn with_reflection(
    routes: Routes,
    descriptor_set: &'static [u8],
    services: &[String],
) -> Result<Routes, ServerError> {
    let builder = || {
        let own = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"].map(str::to_owned);
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptor_set)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        services.iter().cloned().chain(own).fold(builder, |builder, name| builder.with_service_name(name))
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, ServerError> {
    let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServerError::Listen { address: unbound, source })
}

/// A connection, whatever carries it.
trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Io for T {}
type Accepted = io::Result<(Box<dyn Io>, Peer)>;

fn incoming(
    listener: TcpListener,
    transport: &Transport,
) -> Result<stream::BoxStream<'static, Accepted>, ServerError> {
    match transport {
        Transport::MutualTls(identity) => {
            let connections = listen(listener, identity.mesh_server_config()?);
            Ok(connections
                .map_ok(|connection| {
                    let peer = connection.peer().clone();
                    (Box::new(connection) as Box<dyn Io>, peer)
                })
                .boxed())
        }
        Transport::Plain => Ok(plain(listener).boxed()),
    }
}

fn plain(listener: TcpListener) -> impl Stream<Item = Accepted> + Send {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.and_then(|(stream, address)| {
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Io>, Peer::new(Some(address), None)))
        });
        Some((accepted, listener))
    })
}

/// How a server ends.
struct Ending {
    name: String,
    config: ServerConfig,
    life: Lifecycle,
    health: Health,
    connections: Lifecycle,
    admin: Lifecycle,
}

impl Ending {
    /// Not serving → notice → GOAWAY and drain → hard end → admin port closed.
    async fn run(self) -> Drained {
        self.life.ending().await;
        self.health.drain().await;
        let notice = Duration::from_millis(self.config.shutdown.notice_ms);
        tokio::select! {
            () = tokio::time::sleep(notice) => {}
            () = self.life.over() => {}
        }
        let limit = Duration::from_millis(self.config.shutdown.drain_ms);
        let drained = self.connections.drain(limit).await;
        self.admin.end_hard();
        tracing::info!(
            caremesh.service = self.name,
            drain.clean = drained == Drained::Clean,
            "server has ended"
        );
        drained
    }
}
