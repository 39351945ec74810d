//! A real upstream: the mesh's whole server stack over mutual TLS, serving the probe service.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use caremesh_mesh::audit::{AuditSink, AuditUnavailable, Outcome};
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::server::{Running, ServerBuilder, ServerParts, Transport};
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_mesh::{CallContext, Lifecycle, Refusal, Touched};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use http::{Request, Response};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::body::Body;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::world::Trust;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) delay_ms: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reply {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

pub(crate) fn ask(text: &str) -> Ask {
    Ask { text: text.to_owned(), ..Ask::default() }
}

/// Compiled once, with its options, as the contract crate compiles ours.
static DESCRIPTORS: LazyLock<&'static [u8]> = LazyLock::new(|| {
    let here = env!("CARGO_MANIFEST_DIR");
    let includes = [format!("{here}/tests/it"), format!("{here}/../proto")];
    let mut compiler = protox::Compiler::new(includes).expect("folders");
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file("probe.proto").expect("compiles");
    compiler.open_file("caremesh/options/v1/reasons.proto").expect("compiles");
    compiler.encode_file_descriptor_set().leak()
});

/// A running upstream on a runtime of its own; dropped, it is gone without a good-bye, as a process that
/// was killed: every socket closes.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// What it says of itself in the header [`SERVED_BY`].
    pub(crate) name: &'static str,
    life: Lifecycle,
    running: Option<Running>,
    runtime: Option<Runtime>,
}

/// Which upstream has answered.
pub(crate) const SERVED_BY: &str = "x-served-by";

impl Upstream {
    pub(crate) async fn start(trust: &Trust) -> Self {
        Self::start_as("svc-probe", trust, "127.0.0.1:0".parse().expect("address")).await
    }

    /// With the certificate of `workload`, at this address.
    pub(crate) async fn start_as(workload: &str, trust: &Trust, address: SocketAddr) -> Self {
        let parts = parts("svc-probe", trust.workload(workload), address, &DESCRIPTORS, trust);
        let name = next_name();
        Self::run(name, ServerBuilder::new(parts).add(Probe(name)).add(Backstage(name))).await
    }

    /// With the contract as it is shipped, and nothing behind it.
    pub(crate) async fn of_the_contract(trust: &Trust) -> Self {
        let address = "127.0.0.1:0".parse().expect("address");
        let descriptors = caremesh_proto::FILE_DESCRIPTOR_SET;
        let parts = parts("svc-policy", trust.workload("svc-policy"), address, descriptors, trust);
        Self::run("plans", ServerBuilder::new(parts).add(Plans("plans"))).await
    }

    async fn run(name: &'static str, server: ServerBuilder) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let life = Lifecycle::new();
        let started = runtime.spawn({
            let life = life.clone();
            async move { server.start(&life).await }
        });
        let running = started.await.expect("no panic").expect("starts");
        Self { address: running.address, name, life, running: Some(running), runtime: Some(runtime) }
    }

    /// Ends it as an orchestrator does, by the signal that lets calls end; gives when it has.
    pub(crate) async fn stop(mut self) {
        self.life.end_softly();
        if let Some(running) = self.running.take() {
            running.ended().await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Ends it at once, connections and all.
    pub(crate) fn kill(self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A name that no other upstream of this process has.
fn next_name() -> &'static str {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("probe-{}", NEXT.fetch_add(1, Ordering::Relaxed)).leak()
}

fn parts(
    name: &str,
    workload: WorkloadIdentity,
    listen: SocketAddr,
    descriptor_set: &'static [u8],
    trust: &Trust,
) -> ServerParts {
    ServerParts {
        name: name.to_owned(),
        config: ServerConfig { listen, ..ServerConfig::default() },
        descriptor_set,
        transport: Transport::MutualTls(workload),
        authenticator: trust.authenticator(),
        audit: Arc::new(Unaudited),
        probes: Vec::new(),
        metrics: Arc::new(String::new),
    }
}

/// The probe touches no record, so that nothing is there to be committed.
struct Unaudited;

impl AuditSink for Unaudited {
    fn record(
        &self,
        _: CallContext,
        _: Vec<Touched>,
        _: Outcome,
    ) -> BoxFuture<'static, Result<(), AuditUnavailable>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Clone)]
struct Probe(&'static str);

impl tonic::server::NamedService for Probe {
    const NAME: &'static str = "caremesh.probe.v1.ProbeService";
}

#[derive(Clone)]
struct Backstage(&'static str);

impl tonic::server::NamedService for Backstage {
    const NAME: &'static str = "caremesh.probe.v1.BackstageService";
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>;

macro_rules! service {
    ($name:ty) => {
        impl tower::Service<Request<Body>> for $name {
            type Response = Response<Body>;
            type Error = std::convert::Infallible;
            type Future = Answering;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Answering {
                let name = http::HeaderValue::from_static(self.0);
                Box::pin(async move {
                    let mut response = dispatch(request).await;
                    response.headers_mut().insert(SERVED_BY, name);
                    Ok(response)
                })
            }
        }
    };
}
service!(Probe);
service!(Backstage);

#[derive(Clone)]
struct Plans(&'static str);

impl tonic::server::NamedService for Plans {
    const NAME: &'static str = "caremesh.policy.v1.PlanService";
}
service!(Plans);

async fn dispatch(request: Request<Body>) -> Response<Body> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<Reply, Ask>::default())
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20);
    match method.as_str() {
        "Count" => {
            let service = tower::service_fn(|it: tonic::Request<Ask>| async move { count(it).await });
            grpc.server_streaming(service, request).await
        }
        "Gather" => {
            let service =
                tower::service_fn(|it: tonic::Request<Streaming<Ask>>| async move { gather(it).await });
            grpc.client_streaming(service, request).await
        }
        _ => {
            let service = tower::service_fn(move |it: tonic::Request<Ask>| {
                let method = method.clone();
                async move { unary(&method, it).await }
            });
            grpc.unary(service, request).await
        }
    }
}

async fn unary(method: &str, request: tonic::Request<Ask>) -> Result<tonic::Response<Reply>, Status> {
    let (metadata, _, ask) = request.into_parts();
    tokio::time::sleep(Duration::from_millis(ask.delay_ms.into())).await;
    let text = match method {
        "Refuse" => {
            let refusal = Refusal::new(CommonReason::FieldInvalid).field("text", "string.min_len");
            return Err(refusal.into());
        }
        "Headers" => {
            let headers = metadata.into_headers();
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or("?")))
                .collect()
        }
        _ => ask.text,
    };
    Ok(tonic::Response::new(Reply { text }))
}

type Replies = Pin<Box<dyn Stream<Item = Result<Reply, Status>> + Send>>;

async fn count(request: tonic::Request<Ask>) -> Result<tonic::Response<Replies>, Status> {
    let ask = request.into_inner();
    let stream = futures::stream::iter(0..ask.count).then(move |nth| async move {
        tokio::time::sleep(Duration::from_millis(ask.delay_ms.into())).await;
        Ok(Reply { text: nth.to_string() })
    });
    Ok(tonic::Response::new(Box::pin(stream)))
}

async fn gather(request: tonic::Request<Streaming<Ask>>) -> Result<tonic::Response<Reply>, Status> {
    let mut asks = request.into_inner();
    let mut text = String::new();
    while let Some(ask) = asks.message().await? {
        text.push_str(&ask.text);
    }
    Ok(tonic::Response::new(Reply { text }))
}
