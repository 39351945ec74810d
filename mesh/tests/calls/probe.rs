//! A contract and a server for these tests: methods of every kind, answered by what a test scripts.
//! The connections, certificates and layers are the real ones.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use caremesh_mesh::{
    ContractPolicy,
    client::{Channel, ChannelBuilder, ClientConfig},
    deadline::EnforceDeadline,
    layer::{AroundLayer, Request, Response},
    opening::Opening,
    telemetry::{MetricsLayer, TraceLayer},
    tls::{WorkloadIdentity, listen},
};
use caremesh_testkit::identity::TestAuthority;
use futures::future::BoxFuture;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{Code, Status, body::Body, client::Grpc, server::NamedService};
use tonic_prost::ProstCodec;
use tower::Service;

/// Sent twice only when safe.
pub(crate) const SAFE: &str = "/probe.v1.ProbeService/Safe";
/// Never sent twice.
pub(crate) const NEVER: &str = "/probe.v1.ProbeService/Never";
/// May be sent a second time before the first has failed.
pub(crate) const HEDGED: &str = "/probe.v1.ProbeService/Hedged";
/// A method that takes at most a second.
pub(crate) const SHORT: &str = "/probe.v1.ProbeService/Short";

const CONTRACT: &str = r#"
    syntax = "proto3";
    package probe.v1;
    import "google/protobuf/empty.proto";
    import "caremesh/options/v1/options.proto";

    service ProbeService {
      option (caremesh.options.v1.service) = {error_domain: "probe.caremesh", workload: "svc-probe"};
      rpc Safe(google.protobuf.Empty) returns (google.protobuf.Empty) {
        option (caremesh.options.v1.method) = {
          anyone: true deadline: {seconds: 10}
          audit: {class: AUDIT_CLASS_NONE default_purpose: PURPOSE_OPERATIONS}
          retry: RETRY_SAFETY_SAFE exposure: EXPOSURE_INTERNAL
        };
      }
      rpc Never(google.protobuf.Empty) returns (google.protobuf.Empty) {
        option (caremesh.options.v1.method) = {
          anyone: true deadline: {seconds: 10}
          audit: {class: AUDIT_CLASS_NONE default_purpose: PURPOSE_OPERATIONS}
          retry: RETRY_SAFETY_NEVER exposure: EXPOSURE_INTERNAL
        };
      }
      rpc Hedged(google.protobuf.Empty) returns (google.protobuf.Empty) {
        option (caremesh.options.v1.method) = {
          anyone: true deadline: {seconds: 10}
          audit: {class: AUDIT_CLASS_NONE default_purpose: PURPOSE_OPERATIONS}
          retry: RETRY_SAFETY_HEDGE exposure: EXPOSURE_INTERNAL
        };
      }
      rpc Short(google.protobuf.Empty) returns (stream google.protobuf.Empty) {
        option (caremesh.options.v1.method) = {
          anyone: true deadline: {seconds: 1}
          audit: {class: AUDIT_CLASS_NONE default_purpose: PURPOSE_OPERATIONS}
          retry: RETRY_SAFETY_SAFE exposure: EXPOSURE_INTERNAL
        };
      }
    }
"#;

/// The contract of the probe.
pub(crate) fn contract() -> Arc<ContractPolicy> {
    let mut files = ChainFileResolver::new();
    files.add(Text);
    files.add(IncludeFileResolver::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto").into()));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_imports(true);
    compiler.open_file("probe.proto").expect("probe.proto compiles");
    compiler.open_file("caremesh/options/v1/reasons.proto").expect("the common reasons compile");
    let set = compiler.encode_file_descriptor_set();
    Arc::new(ContractPolicy::from_descriptor_set(&set).expect("the probe's contract is complete"))
}

struct Text;

impl FileResolver for Text {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "probe.proto" => File::from_source(name, CONTRACT),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// What the server does with a request.
type Script = Arc<dyn Fn(Request, usize) -> BoxFuture<'static, Response> + Send + Sync>;

/// A server that answers by script and counts its calls.
pub(crate) struct Probe {
    pub(crate) address: SocketAddr,
    calls: Arc<AtomicUsize>,
    server: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Probe {
    /// Serves as `identity`; `script` is given each request and its number from 1.
    pub(crate) async fn start<F>(identity: &WorkloadIdentity, script: F) -> Self
    where
        F: Fn(Request, usize) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), identity, script).await
    }

    /// The same, at this address.
    pub(crate) async fn start_at<F>(address: SocketAddr, identity: &WorkloadIdentity, script: F) -> Self
    where
        F: Fn(Request, usize) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let calls = Arc::new(AtomicUsize::new(0));
        let service = Scripted { script: Arc::new(script), calls: calls.clone() };
        let name = identity.id();
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = listen(listener, identity.mesh_server_config().expect("TLS"));
        let serving = tonic::transport::Server::builder()
            .layer(TraceLayer::server(name.service()))
            .layer(MetricsLayer::server(name.service(), [SAFE, NEVER, HEDGED, SHORT]))
            .layer(AroundLayer::new(Opening::new(contract())))
            .layer(AroundLayer::new(EnforceDeadline))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, async move { drop(stopped.await) });
        let server = tokio::spawn(async move { drop(serving.await) });
        Self { address, calls, server, stop: Some(stop) }
    }

    /// Closes its connections and its port.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        (&mut self.server).await.expect("the server ended");
    }

    /// How many calls have come.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// `https://…`.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Scripted {
    script: Script,
    calls: Arc<AtomicUsize>,
}

impl NamedService for Scripted {
    const NAME: &'static str = "probe.v1.ProbeService";
}

impl Service<Request> for Scripted {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let script = self.script.clone();
        Box::pin(async move { Ok(script(request, number).await) })
    }
}

/// An authority, and a probe that it vouches for as `svc-probe`.
pub(crate) struct Pair {
    pub(crate) authority: TestAuthority,
    pub(crate) probe: Probe,
}

impl Pair {
    pub(crate) async fn start<F>(script: F) -> Self
    where
        F: Fn(Request, usize) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    {
        let authority = TestAuthority::new().expect("an authority");
        let identity = authority.workload("svc-probe").expect("an identity");
        let probe = Probe::start(&identity, script).await;
        Self { authority, probe }
    }

    /// A channel to the probe, as `svc-caller`.
    pub(crate) fn channel(&self) -> Channel {
        self.channel_with(ClientConfig::default())
    }

    pub(crate) fn channel_with(&self, config: ClientConfig) -> Channel {
        let identity = self.authority.workload("svc-caller").expect("an identity");
        ChannelBuilder::new(identity, contract())
            .with_config(config)
            .build("svc-probe", &self.probe.url())
            .expect("an address")
    }
}

/// Calls `path` with an empty message.
pub(crate) async fn call(channel: &Channel, path: &'static str) -> Result<(), Status> {
    send(channel, path, tonic::Request::new(())).await
}

/// Calls `path` with this request.
pub(crate) async fn send(
    channel: &Channel,
    path: &'static str,
    request: tonic::Request<()>,
) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("a channel is always ready");
    let codec = ProstCodec::<(), ()>::default();
    grpc.unary(request, http::uri::PathAndQuery::from_static(path), codec).await.map(|_| ())
}

/// An empty message and OK.
pub(crate) fn ok() -> Response {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let message = http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]));
    let body = http_body_util::BodyExt::with_trailers(message, async move { Some(Ok(trailers)) });
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

/// An error without details.
pub(crate) fn error(code: Code) -> Response {
    Status::new(code, "scripted").into_http()
}
