//! The one upstream that everybody forwards to: a bare tonic server, in plain text for proxies and over
//! TLS for whoever calls it directly. Must not know who forwards.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// `caremesh.bench.v1.Text`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    /// Given back.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

impl Text {
    /// 64 bytes on the wire, as the published comparisons of gateways have.
    pub(crate) fn usual() -> Self {
        Self { text: "x".repeat(62) }
    }
}

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

#[derive(Clone)]
struct Load;

impl NamedService for Load {
    const NAME: &'static str = "caremesh.bench.v1.LoadService";
}

impl Service<Request<Body>> for Load {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(answer(request).await) })
    }
}

async fn answer(request: Request<Body>) -> Response<Body> {
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<Text, Text>::default());
    match request.uri().path().rsplit('/').next() {
        Some("Echo") => {
            let echo = |it: tonic::Request<Text>| async { Ok(tonic::Response::new(it.into_inner())) };
            grpc.unary(tower::service_fn(echo), request).await
        }
        Some("Hold") => {
            let hold = |it: tonic::Request<Text>| async {
                let first = futures::stream::iter([Ok(it.into_inner())]);
                Ok(tonic::Response::new(Box::pin(first.chain(futures::stream::pending())) as Texts))
            };
            grpc.server_streaming(tower::service_fn(hold), request).await
        }
        _ => Status::new(Code::Unimplemented, "").into_http(),
    }
}

/// The benchmark's contract with its options, as an upstream shows it over reflection.
fn descriptor_set() -> anyhow::Result<Vec<u8>> {
    let here = env!("CARGO_MANIFEST_DIR");
    let mut compiler = protox::Compiler::new([format!("{here}/src/gateway"), format!("{here}/../proto")])?;
    compiler.include_imports(true).open_file("load.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Serves on both listeners until the process ends.
pub(crate) async fn serve(
    plain: TcpListener,
    secure: TcpListener,
    tls: Arc<ServerConfig>,
) -> anyhow::Result<()> {
    let set = descriptor_set()?;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(&set)
        .build_v1()?;
    let routes = Routes::new(Load).add_service(reflection);
    let server = || tonic::transport::Server::builder().tcp_nodelay(true);
    let plain = server().add_routes(routes.clone()).serve_with_incoming(TcpListenerStream::new(plain));
    let secure = caremesh_mesh::tls::listen(secure, tls);
    let secure = server().add_routes(routes).serve_with_incoming(secure);
    tokio::try_join!(plain, secure)?;
    Ok(())
}
