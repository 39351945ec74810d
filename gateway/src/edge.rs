//! The one ordered list of what happens to a call at the edge.
//! Must not know how any step decides.

use std::convert::Infallible;
use std::sync::Arc;

use caremesh_mesh::catch_panic::CatchPanic;
use caremesh_mesh::deadline::{Deadline, GRPC_TIMEOUT};
use caremesh_mesh::layer::{self, AroundLayer, Handle, OneFuture, refuse};
use caremesh_mesh::principal::Authenticator;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use caremesh_mesh::telemetry::{MetricsLayer, TraceLayer};
use caremesh_mesh::tls::WorkloadIdentity;
use http::{HeaderValue, Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Service, ServiceBuilder};

use crate::config::{ConfigError, GatewayConfig};
use crate::documents::{Documents, Shares, Vault, is_document};
use crate::files::Files;
use crate::forward::Forward;
use crate::forward::request_body::WaitingRoom;
use crate::limits::{KeyedLimit, Seats};
use crate::own::Own;
use crate::routing::{Routing, Target};
use crate::steps::address::AddressLimit;
use crate::steps::authenticate::Authenticate;
use crate::steps::call_id::ShowCallId;
use crate::steps::cors;
use crate::steps::deadline::Deadlines;
use crate::steps::draining::EndStreams;
use crate::steps::exposure::Exposed;
use crate::steps::gate::At;
use crate::steps::principal_limit::PrincipalLimit;
use crate::steps::route::{LookUp, Routed};
use crate::steps::speech::SpeechLayer;
use crate::steps::stream_limit::StreamLimit;

/// The gateway's name in spans, metrics and certificates.
pub(crate) const SERVICE: &str = "gateway";

/// What the next hop is given less than we have, so that its answer arrives before ours is due.
const HOP_MARGIN: std::time::Duration = std::time::Duration::from_millis(5);

/// What the steps share.
pub(crate) struct Shared {
    pub(crate) routing: Arc<Routing>,
    pub(crate) own: Arc<Own>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) metrics: MetricsLayer,
    /// The gateway's own, which signs receipts.
    pub(crate) identity: WorkloadIdentity,
    /// Where documents are kept, if they are.
    pub(crate) vault: Option<Vault>,
    /// Cancelled when the gateway takes nothing new.
    pub(crate) stop: CancellationToken,
}

/// A service of the edge: never waits for readiness, never fails.
pub(crate) trait Edge:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Edge for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Puts the steps in order, outermost first.
///
/// # Errors
/// A configured origin that is none.
pub(crate) fn edge(config: &GatewayConfig, shared: Shared) -> Result<impl Edge, ConfigError> {
    let origins = config.origins("allowed_origins", &config.allowed_origins)?;
    let connect = config.origins("connect_origins", &config.connect_origins)?;
    let limits = &config.limits;
    let addresses = Arc::new(KeyedLimit::new(limits.address_rate, limits.remembered_keys));
    let callers = Arc::new(KeyedLimit::new(limits.principal_rate, limits.remembered_keys));
    let shares = Shares {
        identity: shared.identity,
        authenticator: shared.authenticator.clone(),
        addresses: addresses.clone(),
        callers: callers.clone(),
    };
    let max_bytes = config.documents.as_ref().map_or(0, |it| it.max_bytes);
    let documents = shared.vault.map(|vault| Documents::new(vault, max_bytes, shares));
    let files = Files::new(config.static_folder.clone(), &connect);
    let carrier = Carrier::new(config, shared.own);

    Ok(ServiceBuilder::new()
        // Outermost, so that every answer, each refusal below included, carries the headers without
        // which a browser hides it from the page. Answers preflights itself.
        .layer(cors::layer(&origins))
        // Before grpc-web, which answers 400 to plain HTTP/1.1 and to content types with parameters.
        // Also removes the headers that only the mesh may write, before anything could believe them.
        .layer(SpeechLayer::new(plain(documents, files)))
        // Outside everything that can refuse: a refusal made inside becomes one that browsers read.
        .layer(GrpcWebLayer::new())
        // Inside grpc-web, so that it reads the status of every answer in its native form; outside all
        // that refuses, so that refusals are seen. Makes the call id.
        .layer(TraceLayer::edge(SERVICE))
        .layer(shared.metrics)
        // From here inwards a call is one future, not one in a box at every step.
        .layer(OneFuture)
        .layer(AroundLayer::new(ShowCallId))
        // Inside the call id, so that the caller learns it; outside all that could panic: without it a
        // panic ends the connection, and every call on it.
        .layer(AroundLayer::new(CatchPanic))
        // The look-up decides nothing; deadline and authentication need what it finds.
        .layer(AroundLayer::new(At(LookUp(shared.routing.clone()))))
        // Before authentication, so that guessing tokens is limited and costs no signature check.
        .layer(AroundLayer::new(At(AddressLimit(addresses))))
        // Outside authentication, which may wait for a key set, and outside reading the body, so that
        // a slow sender runs out of time.
        .layer(AroundLayer::new(Deadlines { unknown: limits.unknown_deadline() }))
        .layer(AroundLayer::new(Authenticate(shared.authenticator)))
        // After authentication: it counts whom authentication has found.
        .layer(AroundLayer::new(At(PrincipalLimit(callers))))
        // Beside it: a stream is one call by the rate, and an hour of memory.
        .layer(AroundLayer::new(StreamLimit(Seats::new(limits.max_streams_per_caller))))
        // Inside the seats, so that a stream that was told gives its own back.
        .layer(AroundLayer::new(EndStreams { stop: shared.stop, grace: config.drain.stream_grace() }))
        // After authentication and limits, so that strangers cannot list what exists by guessing.
        .layer(AroundLayer::new(At(Exposed(shared.routing))))
        // The body is read and its size checked here, when the call is certain to be carried.
        .service(carrier))
}

/// What is not gRPC: documents, which ask for a caller and a ticket themselves, and files.
fn plain(documents: Option<Documents>, files: Files) -> impl Edge {
    tower::service_fn(move |request: Request<Body>| {
        let (documents, files) = (documents.clone(), files.clone());
        async move {
            match documents {
                Some(documents) if is_document(request.uri().path()) => documents.answer(request).await,
                _ => files.answer(request).await,
            }
        }
    })
}

/// The same without policy: grpc-web, the route, the bytes. What [`edge`] costs is measured against it.
///
/// # Errors
/// As [`edge`].
pub(crate) fn bare(config: &GatewayConfig, shared: Shared) -> Result<impl Edge, ConfigError> {
    let connect = config.origins("connect_origins", &config.connect_origins)?;
    let files = Files::new(config.static_folder.clone(), &connect);
    let carrier = Carrier::new(config, shared.own);
    Ok(ServiceBuilder::new()
        .layer(SpeechLayer::new(plain(None, files)))
        .layer(GrpcWebLayer::new())
        .layer(OneFuture)
        .layer(AroundLayer::new(At(LookUp(shared.routing))))
        .service(carrier))
}

/// The innermost step: the call goes to whoever answers it.
#[derive(Clone)]
struct Carrier {
    forward: Forward,
    own: Arc<Own>,
}

impl Carrier {
    fn new(config: &GatewayConfig, own: Arc<Own>) -> Self {
        let limits = &config.limits;
        let room = WaitingRoom::new(limits.max_waiting_bytes);
        Self { forward: Forward { max_message_bytes: limits.max_message_bytes, room }, own }
    }

    async fn try_carry(&self, request: &mut Request<Body>) -> Result<Response<Body>, Refusal> {
        let Some(Routed(route)) = request.extensions().get().cloned() else {
            return Err(Refusal::new(CommonReason::MethodUnknown));
        };
        if let Some(rest) = rest_for_next_hop(request)? {
            request.headers_mut().insert(GRPC_TIMEOUT, rest);
        }
        let request = std::mem::take(request);
        match &route.target {
            Target::Here => Ok(self.own.call(request).await),
            Target::Upstream(upstream) => self.forward.call(upstream, &route, request).await,
        }
    }
}

impl Handle for Carrier {
    async fn handle(&self, request: &mut Request<Body>) -> layer::Response {
        self.try_carry(request).await.unwrap_or_else(refuse)
    }
}

fn rest_for_next_hop(request: &Request<Body>) -> Result<Option<HeaderValue>, Refusal> {
    let Some(deadline) = request.extensions().get::<Deadline>() else { return Ok(None) };
    let rest = deadline.to_header(HOP_MARGIN);
    rest.map(Some).ok_or_else(|| Refusal::new(CommonReason::Deadline))
}
