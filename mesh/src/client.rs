//! Calls to other services. [`ChannelBuilder::build`] is the only place that orders the client's
//! layers. Must not know any method by name: the contract says what may be retried and for how long.

mod connection;
mod deadline;
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

use self::{connection::Connection, deadline::GiveDeadline, outgoing::Outgoing, retry::RetryLayer};
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
    /// within ten.
    pub keepalive_interval_s: u64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            deadline_margin_ms: 20,
            max_attempts: 3,
            retry_percent: 20,
            keepalive_interval_s: 30,
        }
    }
}

/// Why no channel could be made. Nothing is connected yet: that happens with the first call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not `https://host:port`: inside the mesh every connection is mutual TLS.
    #[error("`{0}` is not an address of a service; expected https://host:port")]
    Address(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
}

/// Makes channels to other services, under one identity.
#[derive(Debug, Clone)]
pub struct ChannelBuilder {
    identity: WorkloadIdentity,
    contract: Arc<ContractPolicy>,
    config: ClientConfig,
}

impl ChannelBuilder {
    /// Calls as `identity`, by the rules of `contract`.
    #[must_use]
    pub fn new(identity: WorkloadIdentity, contract: Arc<ContractPolicy>) -> Self {
        Self { identity, contract, config: ClientConfig::default() }
    }

    /// With other limits.
    #[must_use]
    pub fn with_config(mut self, config: ClientConfig) -> Self {
        self.config = config;
        self
    }

    /// A channel to `service` (`svc-policy`) at `address` (`https://127.0.0.1:50051`). A server there
    /// whose certificate names another service is not spoken to. Connects when first called.
    ///
    /// # Errors
    /// When the address is not `https://host:port`.
    pub fn build(&self, service: &str, address: &str) -> Result<Channel, ClientError> {
        let connection =
            Connection::new(authority_of(address)?, self.identity.client_config(service)?, &self.config)
                .map_err(|_| ClientError::Address(address.to_owned()))?;
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
            // 5. Deadline of one try.
            .layer(AroundLayer::new(GiveDeadline::new(Duration::from_millis(self.config.deadline_margin_ms))))
            // 6. The circuit breaker belongs here: inside retry, so that a refused try may go elsewhere,
            //    and inside the deadline, so that a late answer counts as a failed one. A layer over any
            //    `Service<Request, Response = Response, Error = Infallible>`.
            // 7. Balancing belongs here: a service of that same shape that holds one `Connection` per
            //    endpoint and picks one per try.
            // 8. Reconnect and mutual TLS: one connection to one endpoint.
            .service(connection);
        Ok(Channel(BoxCloneSyncService::new(stack)))
    }
}

fn authority_of(address: &str) -> Result<Authority, ClientError> {
    let refused = || ClientError::Address(address.to_owned());
    let url: Url = address.parse().map_err(|_| refused())?;
    let (host, port) = (url.host_str().ok_or_else(refused)?, url.port().ok_or_else(refused)?);
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
