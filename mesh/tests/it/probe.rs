//! The probe's messages, handler and client, written by hand: its proto is only for the contract.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use caremesh_kernel::PersonId;
use caremesh_mesh::client::{self, Channel};
use caremesh_mesh::{Action, CallContext, Touched, accept};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use prost_protovalidate::{Validate, ValidationError, Violation};
use tonic::body::Body;
use tonic::codec::EnabledCompressionEncodings;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service;
use uuid::Uuid;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskRequest {
    #[prost(string, tag = "1")]
    pub(crate) script: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) padding: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskResponse {
    #[prost(string, tag = "1")]
    pub(crate) said: String,
}

impl Validate for AskRequest {
    fn validate(&self) -> Result<(), ValidationError> {
        if self.script.is_empty() {
            return Err(ValidationError::single(Violation::new("script", "string.min_len", "must be set")));
        }
        Ok(())
    }
}

pub(crate) fn person() -> PersonId {
    PersonId::from_uuid(Uuid::from_u128(7))
}

/// The handler. `next` is where `forward` goes; `inside` counts the calls in `crowd`.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) next: Option<Channel>,
    pub(crate) inside: Arc<AtomicUsize>,
    pub(crate) desks: Arc<Desks>,
}

/// What a handler waits for.
pub(crate) struct Desks(tokio::sync::Semaphore);

impl Default for Desks {
    fn default() -> Self {
        Self(tokio::sync::Semaphore::new(4))
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "caremesh.probe.v1.ProbeService";
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move {
            let mut gzip = EnabledCompressionEncodings::default();
            gzip.enable(caremesh_mesh::offer::ENCODING);
            // As `offer!` does it for a generated server.
            let mut grpc = Grpc::new(ProstCodec::default())
                .apply_compression_config(gzip, EnabledCompressionEncodings::default())
                .apply_max_message_size_config(Some(4 << 20), None);
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "Ask" | "AskHealth" | "AskOpen" => grpc.unary(probe, request).await,
                "Watch" | "WatchHealth" => grpc.server_streaming(probe, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

impl UnaryService<AskRequest> for Probe {
    type Response = AskResponse;
    type Future = BoxFuture<'static, Result<Response<AskResponse>, Status>>;

    fn call(&mut self, request: Request<AskRequest>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move {
            let (context, message) = accept(request)?;
            let said = probe.act(&context, &message.script).await?;
            Ok(Response::new(AskResponse { said }))
        })
    }
}

impl ServerStreamingService<AskRequest> for Probe {
    type Response = AskResponse;
    type ResponseStream = BoxStream<'static, Result<AskResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<AskRequest>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move {
            let (context, message) = accept(request)?;
            let steps: Vec<String> = message.script.split(' ').map(str::to_owned).collect();
            let messages = stream::iter(steps).then(move |step| {
                let (probe, context) = (probe.clone(), context.clone());
                async move { probe.act(&context, &step).await.map(|said| AskResponse { said }) }
            });
            Ok(Response::new(messages.boxed()))
        })
    }
}

impl Probe {
    /// Does what one step of a script says. A unary script is one step, a stream's one per message.
    async fn act(&self, context: &CallContext, step: &str) -> Result<String, Status> {
        let (verb, number) = step.split_once(':').unwrap_or((step, "0"));
        match verb {
            "touch" => context.touched(Touched::read(person(), "pol_1")),
            "write" => {
                context.touched(Touched::new(person(), "pol_1", Action::Changed));
                drop(context.take_touched());
            }
            "sleep" => tokio::time::sleep(Duration::from_millis(number.parse().expect("a number"))).await,
            "hang" => std::future::pending::<()>().await,
            "panic" => panic!("canary-in-a-panic"),
            "lapsed" => return Err(refused(Code::FailedPrecondition, "LAPSED")),
            "expired" => return Err(refused(Code::FailedPrecondition, "EXPIRED")),
            "hidden" => {
                return Err(caremesh_mesh::Refusal::new(caremesh_mesh::CommonReason::ResourceNotFound).into());
            }
            "raw" => return Err(Status::internal("canary-in-a-status")),
            "granted" => return Ok(format!("{:?}", context.granted())),
            "purpose" => return Ok(format!("{:?}", context.purpose())),
            "remaining" => return Ok(context.deadline().remaining().as_millis().to_string()),
            "desk" => return Ok(self.desk(number).await),
            "crowd" => return Ok(self.crowd(number).await),
            "forward" => return self.forward(context, number).await,
            _ => {}
        }
        Ok(verb.to_owned())
    }

    /// Waits for one of four desks, and stays there for some milliseconds: what a pool of connections does.
    async fn desk(&self, stay_ms: &str) -> String {
        let _desk = self.desks.0.acquire().await.expect("never closed");
        tokio::time::sleep(Duration::from_millis(stay_ms.parse().expect("a number"))).await;
        "served".to_owned()
    }

    /// Stays for some milliseconds and says how many calls were inside when it came, itself included.
    async fn crowd(&self, stay_ms: &str) -> String {
        let inside = Inside::enter(&self.inside);
        tokio::time::sleep(Duration::from_millis(stay_ms.parse().expect("a number"))).await;
        inside.found.to_string()
    }

    /// Asks the next hop how much time it sees, after having spent some.
    async fn forward(&self, context: &CallContext, spend_ms: &str) -> Result<String, Status> {
        tokio::time::sleep(Duration::from_millis(spend_ms.parse().expect("a number"))).await;
        let own = context.deadline().remaining().as_millis();
        let channel = self.next.clone().expect("a next hop");
        let message = AskRequest { script: "remaining".to_owned(), padding: Vec::new() };
        let mut grpc = tonic::client::Grpc::new(channel);
        let path = http::uri::PathAndQuery::from_static("/caremesh.probe.v1.ProbeService/AskOpen");
        let request = client::request(context, message);
        let answer = grpc.unary(request, path, ProstCodec::<_, AskResponse>::default()).await?;
        Ok(format!("{own} {}", answer.into_inner().said))
    }
}

/// Counts a call for as long as it is there, cancelled or not.
struct Inside {
    all: Arc<AtomicUsize>,
    found: usize,
}

impl Inside {
    fn enter(all: &Arc<AtomicUsize>) -> Self {
        Self { all: Arc::clone(all), found: all.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A status with a reason of the probe's own domain.
fn refused(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "probe.caremesh", []);
    Status::with_error_details(code, "told by the script", details)
}
