//! Holds handlers to the contract: an error must carry a reason that its method declares. Innermost of
//! all layers, so that it judges the handler and nothing else. Errors that tonic makes itself (a body
//! that cannot be decoded, a message too large) get the reason they lack; any other error without one
//! leaves as INTERNAL, because its text could hold anything.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::layer::{Around, Next, Request, Response, refuse, trailers};
use crate::opening::Call;
use crate::policy::MethodPolicy;
use crate::reason::CommonReason;
use crate::refusal::Refusal;
use crate::status::Answer;

const GRPC_STATUS: &str = "grpc-status";

/// What happens to an error that the contract does not declare. It is logged and counted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeclared {
    /// It becomes INTERNAL: in development and tests, so that a test sees it.
    Fail,
    /// It goes out: in production the caller is better served by the true reason.
    Pass,
}

impl Default for Undeclared {
    fn default() -> Self {
        if cfg!(debug_assertions) { Self::Fail } else { Self::Pass }
    }
}

/// The layer.
#[derive(Debug, Default)]
pub struct Errors(pub Undeclared);

impl Around for Errors {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let method = Call::method_of(request).filter(|method| !method.is_infrastructure());
        let response = next.run(request).await;
        let Some(method) = method else { return response };
        if let Some(mended) = mended(&method, response.headers(), self.0) {
            return refuse(mended);
        }
        if !method.streams_answers || response.headers().contains_key(GRPC_STATUS) {
            return response;
        }
        let undeclared = self.0;
        response.map(|body| Body::new(Judged { body, method, undeclared }))
    }
}

/// The refusal that must go out instead of what these headers or trailers say; None when they may.
fn mended(method: &MethodPolicy, headers: &HeaderMap, undeclared: Undeclared) -> Option<Refusal> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    let answer = Answer::of(&status);
    if method.declares(&answer.domain, &answer.reason) {
        return None;
    }
    if answer.reason.is_empty() {
        return Some(Refusal::new(reason_of_transport(&status)));
    }
    report(method, &answer.reason);
    (undeclared == Undeclared::Fail).then(|| Refusal::new(CommonReason::Internal))
}

/// What tonic means by an error of its own. It tells by code and text only; the tests below pin both.
fn reason_of_transport(status: &Status) -> CommonReason {
    let message = status.message();
    match status.code() {
        Code::Unimplemented => CommonReason::MethodUnknown,
        Code::OutOfRange if message.contains("message length too large") => CommonReason::MessageTooLarge,
        // What is small on the wire and large when unpacked; and what cannot be unpacked.
        Code::ResourceExhausted if message.starts_with("Error decompressing") => {
            CommonReason::MessageTooLarge
        }
        Code::Internal if message.starts_with("Error decompressing") => CommonReason::MessageMalformed,
        Code::Internal if message.starts_with("failed to decode Protobuf") => CommonReason::MessageMalformed,
        Code::Internal if message == "Missing request message." => CommonReason::MessageMalformed,
        Code::Internal if message.starts_with("protocol error") => CommonReason::MessageMalformed,
        code => {
            tracing::error!(rpc.grpc.status_code = ?code, "an error without a reason left a handler");
            CommonReason::Internal
        }
    }
}

fn report(method: &MethodPolicy, reason: &str) {
    let labels = [("method", method.path.clone()), ("reason", reason.to_owned())];
    metrics::counter!("caremesh_server_undeclared_reasons_total", &labels).increment(1);
    tracing::error!(rpc.method = method.path, error.reason = reason, "the contract does not declare this");
}

/// A stream whose closing status is judged like a unary one.
struct Judged {
    body: Body,
    method: Arc<MethodPolicy>,
    undeclared: Undeclared,
}

impl http_body::Body for Judged {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(Some(Ok(frame))) = &polled else { return polled };
        let said = frame.trailers_ref();
        match said.and_then(|said| mended(&self.method, said, self.undeclared)) {
            Some(refusal) => Poll::Ready(Some(Ok(trailers(refusal)))),
            None => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
