//! The services that the gateway answers itself, for all upstreams together: gRPC health and
//! reflection. Must not know any service of ours by name.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use futures::Stream;
use http::{Request, Response};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt;

use crate::config::ReflectionAccess;
use crate::frame::Arity;
use crate::routing::{Route, Routing, Table, Target, descriptor_set};

/// A health check is answered out of memory.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);
/// A watcher comes back after this.
const WATCH_LIFE: Duration = Duration::from_secs(3_600);
/// A reflection stream is a person at a terminal.
const REFLECTION_LIFE: Duration = Duration::from_secs(60);

/// Health and reflection over all upstreams.
pub(crate) struct Own {
    health: Aggregate,
    services: ArcSwap<Routes>,
}

/// The health of the gateway (empty name) and of each exposed service.
#[derive(Clone)]
struct Aggregate {
    routing: Arc<Routing>,
    state: watch::Sender<State>,
}

/// What watchers of the health wait for: any change of it.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    draining: bool,
    changes: u64,
}

/// The methods that [`Own`] answers, as routes.
pub(crate) fn routes(reflection: ReflectionAccess) -> Vec<Route> {
    let health = |name, deadline| Route {
        anyone: true,
        exposed: true,
        ..own_route("grpc.health.v1.Health", name, deadline)
    };
    let reflect = |service| Route {
        anyone: reflection == ReflectionAccess::Anyone,
        exposed: reflection != ReflectionAccess::Nobody,
        operators_only: reflection == ReflectionAccess::Operators,
        requests: Arity::Many,
        answers: Arity::Many,
        ..own_route(service, "ServerReflectionInfo", REFLECTION_LIFE)
    };
    vec![
        health("Check", CHECK_DEADLINE),
        Route { answers: Arity::Many, ..health("Watch", WATCH_LIFE) },
        reflect("grpc.reflection.v1.ServerReflection"),
        // grpcurl before 1.9 knows this name only.
        reflect("grpc.reflection.v1alpha.ServerReflection"),
    ]
}

fn own_route(service: &str, method: &str, deadline: Duration) -> Route {
    Route {
        path: format!("/{service}/{method}").parse().unwrap_or_else(|_| unreachable!()),
        exposed: false,
        anyone: false,
        operators_only: false,
        deadline,
        requests: Arity::One,
        answers: Arity::One,
        target: Target::Here,
    }
}

impl Own {
    /// Answers for what `routing` knows.
    pub(crate) fn new(routing: Arc<Routing>) -> Self {
        let health = Aggregate { routing, state: watch::Sender::new(State::default()) };
        let own = Self { health, services: ArcSwap::from_pointee(Routes::default()) };
        own.contract_changed();
        own
    }

    /// Rebuilds the reflection service out of the table.
    pub(crate) fn contract_changed(&self) {
        let routes = Routes::new(HealthServer::new(self.health.clone()));
        match with_reflection(routes, &self.health.routing.table()) {
            Ok(routes) => self.services.store(Arc::new(routes.prepare())),
            Err(error) => tracing::error!(%error, "Reflection cannot show the learned contracts."),
        }
        self.health_changed();
    }

    /// Wakes those who watch the health.
    pub(crate) fn health_changed(&self) {
        self.health.state.send_modify(|state| state.changes += 1);
    }

    /// From now on the gateway as a whole is not serving.
    pub(crate) fn drain(&self) {
        self.health.state.send_modify(|state| {
            state.draining = true;
            state.changes += 1;
        });
    }

    /// Whether the gateway is stopping.
    pub(crate) fn is_draining(&self) -> bool {
        self.health.is_draining()
    }

    /// The health service by itself, for the admin port.
    pub(crate) fn health_service(&self) -> HealthServer<impl Health> {
        HealthServer::new(self.health.clone())
    }

    /// Answers a call to one of [`routes`].
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let services = Routes::clone(&self.services.load());
        services.oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

impl Aggregate {
    fn is_draining(&self) -> bool {
        self.state.borrow().draining
    }

    /// `None`: there is no such service.
    fn status(&self, service: &str) -> Option<ServingStatus> {
        if self.is_draining() {
            return Some(ServingStatus::NotServing);
        }
        if service.is_empty() {
            return Some(ServingStatus::Serving);
        }
        let table = self.routing.table();
        let upstream = table.services.get(service)?;
        Some(if upstream.is_serving() { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

fn with_reflection(routes: Routes, table: &Table) -> Result<Routes, tonic_reflection::server::Error> {
    let set = descriptor_set(table.files.values());
    let builder = || {
        let names =
            table.services.keys().fold(tonic_reflection::server::Builder::configure(), |builder, name| {
                builder.with_service_name(name.as_str())
            });
        names
            .with_service_name("grpc.health.v1.Health")
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // grpcurl shows the reason of an error only when it can look its details up here.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(&set)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

type Watching = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[async_trait]
impl Health for Aggregate {
    type WatchStream = Watching;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        let status = status.ok_or_else(|| Refusal::new(CommonReason::ResourceNotFound))?;
        Ok(tonic::Response::new(HealthCheckResponse { status: status.into() }))
    }

    /// Sends the status now and at each change; an unknown service may come to be known.
    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Watching>, Status> {
        let service = request.into_inner().service;
        let start = (self.clone(), self.state.subscribe(), None);
        let stream = futures::stream::unfold(start, move |(health, mut state, sent)| {
            let service = service.clone();
            async move {
                loop {
                    state.borrow_and_update();
                    let now = health.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
                    if sent != Some(now) {
                        let message = HealthCheckResponse { status: now.into() };
                        return Some((Ok(message), (health, state, Some(now))));
                    }
                    state.changed().await.ok()?;
                }
            }
        });
        Ok(tonic::Response::new(Box::pin(stream)))
    }
}
