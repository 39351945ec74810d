//! A running server for one test, and clients of it. Who calls is said in headers here, because whether a
//! token is good is tested where tokens are read.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use caremesh_mesh::audit::{AuditSink, AuditUnavailable, Outcome};
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::health::Probe as HealthProbe;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::policy::Role;
use caremesh_mesh::principal::Credentials;
use caremesh_mesh::server::{Running, ServerBuilder, ServerParts, Transport};
use caremesh_mesh::status::Answer;
use caremesh_mesh::tls::Peer;
use caremesh_mesh::{
    Authenticator, CallContext, CommonReason, Lifecycle, Person, Principal, Refusal, Touched,
};
use futures::future::{BoxFuture, FutureExt as _};
use http::Uri;
use http::uri::PathAndQuery;
use http_body_util::Full;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::probe::{AskRequest, AskResponse, Probe};

/// The probe's contract, compiled once.
pub(crate) static CONTRACT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let root = env!("CARGO_MANIFEST_DIR");
    let includes = [format!("{root}/tests/it"), format!("{root}/../proto")];
    let mut compiler = protox::Compiler::new(includes).expect("the folders");
    compiler.include_imports(true);
    compiler.open_file("probe.proto").expect("the probe's contract compiles");
    compiler.open_file("caremesh/options/v1/reasons.proto").expect("the common reasons compile");
    compiler.encode_file_descriptor_set()
});

/// One committed event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) method: String,
    pub(crate) caller: String,
    pub(crate) outcome: String,
    pub(crate) touched: Vec<Touched>,
}

/// An audit trail in memory, that can be told to fail.
#[derive(Default)]
pub(crate) struct Trail {
    events: Mutex<Vec<Event>>,
    pub(crate) broken: AtomicBool,
}

impl Trail {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("the trail").clone()
    }
}

impl AuditSink for Trail {
    fn record(
        &self,
        context: CallContext,
        touched: Vec<Touched>,
        outcome: Outcome,
    ) -> BoxFuture<'static, Result<(), AuditUnavailable>> {
        if self.broken.load(Ordering::Relaxed) {
            return async { Err(AuditUnavailable) }.boxed();
        }
        let method = context.method().path.rsplit('/').next().unwrap_or_default().to_owned();
        let caller = context.principal().caller_key();
        let outcome = outcome.as_str().to_owned();
        self.events.lock().expect("the trail").push(Event { method, caller, outcome, touched });
        async { Ok(()) }.boxed()
    }
}

/// Believes headers; a workload also by its certificate. Counts how often it was asked.
#[derive(Default)]
pub(crate) struct Believer {
    pub(crate) asked: AtomicUsize,
    peers: Mutex<HashSet<SocketAddr>>,
}

impl Authenticator for Believer {
    fn authenticate<'a>(&'a self, caller: Credentials<'a>) -> BoxFuture<'a, Result<Principal, Refusal>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let address = caller.peer.and_then(Peer::address);
        self.peers.lock().expect("the peers").extend(address);
        async move {
            let said = |name: &str| caller.headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(delay) = said("test-slow-ms") {
                tokio::time::sleep(Duration::from_millis(delay.parse().expect("a number"))).await;
            }
            if said("test-forged").is_some() {
                return Err(Refusal::new(CommonReason::CredentialsInvalid));
            }
            let principal = said("test-role").map_or_else(Principal::anonymous, person_with);
            let service =
                said("test-service").map(|name| SpiffeId::new("caremesh.local", name).expect("a name"));
            let peer = caller.peer.and_then(Peer::workload).cloned();
            Ok(match service.or(peer) {
                Some(workload) => principal.through(workload),
                None => principal,
            })
        }
        .boxed()
    }
}

fn person_with(role: &str) -> Principal {
    Principal::of_person(Person {
        issuer: "https://issuer.test".into(),
        subject: "sub-1".to_owned(),
        person_id: None,
        roles: vec![Role::from_str_name(&format!("ROLE_{role}")).expect("a role")],
        organisation: None,
        token: None,
    })
}

/// A dependency that is up or down as the test says.
pub(crate) struct Switch(pub(crate) AtomicBool);

impl HealthProbe for Switch {
    fn name(&self) -> &str {
        "database"
    }

    fn is_up(&self) -> BoxFuture<'_, bool> {
        async { self.0.load(Ordering::Relaxed) }.boxed()
    }
}

/// A server, its surroundings, and a client.
pub(crate) struct World {
    pub(crate) life: Lifecycle,
    pub(crate) running: Running,
    pub(crate) trail: Arc<Trail>,
    pub(crate) believer: Arc<Believer>,
    pub(crate) database: Arc<Switch>,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::of(Transport::Plain, Probe::default(), change).await
    }

    pub(crate) async fn of(
        transport: Transport,
        probe: Probe,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let mut config = ServerConfig::default();
        config.health.period_ms = 20;
        config.shutdown.drain_ms = 2_000;
        change(&mut config);
        let (trail, believer) = (Arc::new(Trail::default()), Arc::new(Believer::default()));
        let database = Arc::new(Switch(AtomicBool::new(true)));
        let parts = ServerParts {
            name: "svc-probe".to_owned(),
            config,
            descriptor_set: &CONTRACT,
            transport,
            authenticator: Arc::<Believer>::clone(&believer),
            audit: Arc::<Trail>::clone(&trail),
            probes: vec![Arc::<Switch>::clone(&database)],
            metrics: Arc::new(|| "caremesh_up 1\n".to_owned()),
        };
        let life = Lifecycle::new();
        let running = ServerBuilder::new(parts).add(probe).start(&life).await.expect("it starts");
        let client = Client::of(running.address);
        Self { life, running, trail, believer, database, client }
    }

    /// Asks `Ask` as a member.
    pub(crate) async fn ask(&self, script: &str) -> Result<String, Answer> {
        self.client.ask("Ask", script, &[("test-role", "MEMBER")]).await
    }

    /// How many connections calls have come over.
    pub(crate) fn peers(&self) -> usize {
        self.believer.peers.lock().expect("the peers").len()
    }

    /// Asks `AskOpen` as nobody.
    pub(crate) async fn ask_open(&self, script: &str) -> Result<String, Answer> {
        self.client.ask("AskOpen", script, &[]).await
    }
}

/// A client that leaves deadlines to the server: tonic's own channel watches `grpc-timeout` too, answers
/// CANCELLED, and is often the first. A cheap clone; clones share one connection.
#[derive(Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Body>,
    origin: Uri,
}

impl Client {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { http, origin: format!("http://{address}").parse().expect("an address") }
    }

    pub(crate) async fn unary(
        &self,
        method: &str,
        request: Request<AskRequest>,
    ) -> Result<Response<AskResponse>, Status> {
        let mut grpc = tonic::client::Grpc::with_origin(self.http.clone(), self.origin.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        grpc.unary(request, path(method), ProstCodec::default()).await
    }

    /// Sends these bytes as the body of a call, and gives the status it ends with.
    pub(crate) async fn raw(&self, method: &str, body: &[u8]) -> Status {
        self.raw_encoded(method, "identity", body).await
    }

    /// The same, with messages that are said to be encoded so.
    pub(crate) async fn raw_encoded(&self, method: &str, encoding: &str, body: &[u8]) -> Status {
        let body = Full::new(Bytes::copy_from_slice(body));
        let request =
            http::Request::post(format!("{}{}", self.origin, path(method).as_str().trim_start_matches('/')))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("grpc-encoding", encoding)
                .body(Body::new(body))
                .expect("a request");
        let answer = self.http.request(request).await.expect("an answer");
        Status::from_header_map(answer.headers()).expect("a status in the head")
    }

    pub(crate) async fn stream(
        &self,
        method: &str,
        request: Request<AskRequest>,
    ) -> Result<Streaming<AskResponse>, Status> {
        let mut grpc = tonic::client::Grpc::with_origin(self.http.clone(), self.origin.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = grpc.server_streaming(request, path(method), ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    /// What a unary method said, or how it refused.
    pub(crate) async fn ask(
        &self,
        method: &str,
        script: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<String, Answer> {
        let answer = self.unary(method, request(script, headers)).await;
        answer.map(|answer| answer.into_inner().said).map_err(|status| Answer::of(&status))
    }

    /// All that a stream said, and how it ended.
    pub(crate) async fn watch(
        &self,
        method: &str,
        script: &str,
        headers: &[(&'static str, &str)],
    ) -> (Vec<String>, Result<(), Answer>) {
        let mut said = Vec::new();
        let mut stream = match self.stream(method, request(script, headers)).await {
            Ok(stream) => stream,
            Err(status) => return (said, Err(Answer::of(&status))),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => said.push(message.said),
                Ok(None) => return (said, Ok(())),
                Err(status) => return (said, Err(Answer::of(&status))),
            }
        }
    }
}

pub(crate) fn request(script: &str, headers: &[(&'static str, &str)]) -> Request<AskRequest> {
    let mut request = Request::new(AskRequest { script: script.to_owned(), padding: Vec::new() });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, MetadataValue::try_from(*value).expect("a value"));
    }
    request
}

fn path(method: &str) -> PathAndQuery {
    format!("/caremesh.probe.v1.ProbeService/{method}").parse().expect("a path")
}
