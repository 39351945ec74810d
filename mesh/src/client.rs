//! Calls to other services. [`ChannelBuilder::build`] is the only place that orders the client's
//! layers. Must not know any method by name: the contract says what may be retried and for how long.

mod balance;
mod breaker;
mod connection;
mod deadline;
mod hedge;
mod message;
mod outcome;
mod outgoing;
mod retry;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::uri::Authority;
use serde::Deserialize;
use tonic::body::Body;
use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};
use url::Url;

use self::{
    balance::Balance, breaker::Breaker, connection::Connection, deadline::GiveDeadline, hedge::HedgeLayer,
    outgoing::Outgoing, retry::RetryLayer,
};
use crate::{
    context::CallContext,
    layer::{AroundLayer, Request, Response},
    policy::ContractPolicy,
    telemetry::{MetricsLayer, TraceLayer},
    tls::{TlsError, WorkloadIdentity},
};

/// How this process calls another service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Longest that a connection may take to open, handshake included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// What this hop keeps of its caller's time, to answer after the next hop has given up, in milliseconds.
    pub deadline_margin_ms: u64,
    /// Tries of one call, the first included.
    pub max_attempts: u32,
    /// Retries may be so many of a hundred calls, beside ten a second.
    pub retry_percent: u16,
    /// A ping after so many seconds without traffic; the connection is dead when it is not answered
    /// within three.
    pub keepalive_interval_s: u64,
    /// The names of replicas are resolved anew after so many milliseconds.
    pub resolve_every_ms: u64,
    /// A replica that owes answers and has given none for so many milliseconds gets no further calls while there
    /// are others; a call given up after so long counts as failed.
    pub silent_after_ms: u64,
    /// A replica that failed five times in a row is ejected for so many milliseconds, twice as long each further
    /// time, at most for a minute.
    pub ejection_ms: u64,
    /// Where the contract lets a method be hedged, a second try is sent after so many milliseconds.
    pub hedge_after_ms: u64,
    /// When more than so many of a hundred calls fail, a service gets none for a while. 100: never held back.
    pub breaker_percent: u32,
    /// Calls of one channel under way at a time; further ones are refused as OVERLOADED.
    pub max_calls: usize,
    /// Inside another mesh (Linkerd, Istio): one connection to the name, because the outer mesh balances, ejects
    /// and breaks. Deadlines, retries by contract, identity and policy stay ours, mutual TLS included.
    pub outer_mesh: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            deadline_margin_ms: 20,
            max_attempts: 3,
            retry_percent: 20,
            keepalive_interval_s: 5,
            resolve_every_ms: 5_000,
            silent_after_ms: 1_000,
            ejection_ms: 5_000,
            hedge_after_ms: 50,
            breaker_percent: 50,
            max_calls: 1_024,
            outer_mesh: false,
        }
    }
}

/// Why no channel could be made. Nothing is connected yet: that happens with the first call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not `https://host:port`: inside the mesh every connection is mutual TLS.
    #[error("`{0}` is not an address of a service; expected https://host:port")]
    Address(String),
    /// Several addresses inside another mesh, which balances behind one name.
    #[error("`{0}` must be one address: client.outer_mesh says that another mesh balances")]
    OneName(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
}

pub use self::balance::Resolver;

type Replicas = BoxCloneSyncService<Request, Response, Infallible>;

/// Makes channels to other services, under one identity.
#[derive(Debug, Clone)]
pub struct ChannelBuilder {
    identity: WorkloadIdentity,
    contract: Arc<ContractPolicy>,
    config: ClientConfig,
    resolver: Resolver,
}

impl ChannelBuilder {
    /// Calls as `identity`, by the rules of `contract`.
    #[must_use]
    pub fn new(identity: WorkloadIdentity, contract: Arc<ContractPolicy>) -> Self {
        Self { identity, contract, config: ClientConfig::default(), resolver: Resolver::system() }
    }

    /// Asks `resolver` which replicas there are, instead of the system.
    #[must_use]
    pub fn resolving_with(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// With other limits.
    #[must_use]
    pub fn with_config(mut self, config: ClientConfig) -> Self {
        self.config = config;
        self
    }

    /// A channel to `service` (`svc-policy`) at `address` (`https://127.0.0.1:50051`), or at several, separated by
    /// commas; each address behind a name is a replica. A server there whose certificate names another service is
    /// not spoken to. Resolves and connects when first called.
    ///
    /// # Errors
    /// When an address is not `https://host:port`.
    pub fn build(&self, service: &str, address: &str) -> Result<Channel, ClientError> {
        let replicas = self.replicas(service, address)?;
        let own = self.identity.id();
        let paths = self.contract.methods().map(|method| method.path.as_str());
        let stack = ServiceBuilder::new()
            // 1. Context into headers. Outermost: every layer further in sees the request as it goes out,
            //    and finds its policy and deadline in the extensions.
            .layer(AroundLayer::new(Outgoing::new(self.contract.clone())))
            .map_response(|response: http::Response<_>| response.map(Body::new))
            // 2. Trace, 3. metrics: one span and one time per call, not per try.
            .layer(TraceLayer::client(own.service()))
            .layer(MetricsLayer::client(own.service(), paths))
            // 4. Retry. Outside the deadline layer, so that each try is given what is left by then.
            .layer(RetryLayer::new(&self.config))
            // 5. Hedging. Inside retry, so that both tries of a pair are one attempt.
            .layer(HedgeLayer::new(&self.config))
            // 6. Deadline of one try.
            .layer(AroundLayer::new(GiveDeadline::new(Duration::from_millis(self.config.deadline_margin_ms))))
            // 7. The circuit breaker. Inside retry, so that a call it refused may come back when the service does.
            .layer(AroundLayer::new(Breaker::new(&self.config)))
            // 8. Balance: one replica per try. 9. Reconnect, and 10. mutual TLS: one connection to each.
            .service(replicas);
        Ok(Channel(BoxCloneSyncService::new(stack)))
    }

    /// All that is behind the address: balanced by us, or by the mesh around us.
    fn replicas(&self, service: &str, address: &str) -> Result<Replicas, ClientError> {
        let names = address.split(',').map(str::trim).map(authority_of).collect::<Result<Vec<_>, _>>()?;
        let tls = self.identity.client_config(service)?;
        if !self.config.outer_mesh {
            return Ok(BoxCloneSyncService::new(Balance::new(
                names,
                tls,
                &self.config,
                self.resolver.clone(),
            )?));
        }
        let [name] = names.as_slice() else { return Err(ClientError::OneName(address.to_owned())) };
        let connection = Connection::new(name.clone(), None, tls, &self.config)
            .map_err(|_| ClientError::Address(address.to_owned()))?;
        Ok(BoxCloneSyncService::new(connection))
    }
}

fn authority_of(address: &str) -> Result<Authority, ClientError> {
    let refused = || ClientError::Address(address.to_owned());
    let url: Url = address.parse().map_err(|_| refused())?;
    let host = url.host_str().ok_or_else(refused)?;
    let port = url.port_or_known_default().ok_or_else(refused)?;
    if url.scheme() != "https" || url.path() != "/" {
        return Err(refused());
    }
    format!("{host}:{port}").parse().map_err(|_| refused())
}

/// A channel to one service, for a generated client: `PolicyServiceClient::new(channel)`. A cheap clone.
#[derive(Clone)]
pub struct Channel(BoxCloneSyncService<Request, Response, Infallible>);

impl Service<Request> for Channel {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

/// `message` as a call made within `context`: its person's token, call id, purpose, episode, trace and
/// what is left of its deadline go along.
#[must_use]
pub fn request<T>(context: &CallContext, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(context.clone());
    request
}
