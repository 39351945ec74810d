//! A native gRPC client over TLS and HTTP/2, as a partner's generated client is.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::probe::{Ask, Reply, SERVED_BY};
use crate::web::tls;
use crate::world::World;

/// One connection.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    authority: String,
    member: String,
}

impl Connection {
    pub(crate) async fn open(world: &World) -> Self {
        let io = TokioIo::new(tls(world, b"h2").await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        let member = world.trust.token("member-1");
        Self { sender, authority: format!("localhost:{}", world.address.port()), member }
    }

    /// With a member's token.
    pub(crate) fn signed<T>(&self, message: T) -> tonic::Request<T> {
        with_token(message, &self.member)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) async fn unary(&self, method: &str, ask: Ask) -> Result<tonic::Response<Reply>, Status> {
        self.unary_request(method, self.signed(ask)).await
    }

    pub(crate) async fn unary_request(
        &self,
        method: &str,
        request: tonic::Request<Ask>,
    ) -> Result<tonic::Response<Reply>, Status> {
        let mut grpc = self.grpc().await;
        grpc.unary(request, path(method), ProstCodec::default()).await
    }

    pub(crate) async fn stream(
        &self,
        method: &str,
        request: tonic::Request<Ask>,
    ) -> Result<Streaming<Reply>, Status> {
        let mut grpc = self.grpc().await;
        let answer = grpc.server_streaming(request, path(method), ProstCodec::<Ask, Reply>::default()).await;
        Ok(answer?.into_inner())
    }

    /// A stream, and which upstream gives it.
    pub(crate) async fn stream_by(
        &self,
        method: &str,
        request: tonic::Request<Ask>,
    ) -> Result<(String, Streaming<Reply>), Status> {
        let mut grpc = self.grpc().await;
        let answer =
            grpc.server_streaming(request, path(method), ProstCodec::<Ask, Reply>::default()).await?;
        Ok((served_by(&answer), answer.into_inner()))
    }

    pub(crate) async fn gather(
        &self,
        asks: impl futures::Stream<Item = Ask> + Send + 'static,
    ) -> Result<tonic::Response<Reply>, Status> {
        let mut grpc = self.grpc().await;
        grpc.client_streaming(self.signed(asks), path("Gather"), ProstCodec::default()).await
    }

    async fn grpc(&self) -> Grpc<Self> {
        let mut grpc =
            Grpc::new(self.clone()).max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20);
        grpc.ready().await.expect("open");
        grpc
    }
}

/// Which upstream has answered.
pub(crate) fn served_by<T>(answer: &tonic::Response<T>) -> String {
    let name = answer.metadata().get(SERVED_BY).and_then(|it| it.to_str().ok());
    name.expect("every upstream says so").to_owned()
}

pub(crate) fn with_token<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    request
}

pub(crate) fn path(method: &str) -> PathAndQuery {
    let full = if method.starts_with('/') {
        method.to_owned()
    } else {
        format!("/caremesh.probe.v1.ProbeService/{method}")
    };
    full.parse().expect("path")
}

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, hyper::Result<Response<Incoming>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("https://{}{path}", self.authority).parse().expect("URI");
        Box::pin(self.sender.send_request(request))
    }
}
