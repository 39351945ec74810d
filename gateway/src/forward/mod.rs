//! Carries a call to its upstream and the answer back, as bytes.
//! Must not know who may call or how often: the steps before it have decided.

pub(crate) mod answer_body;
pub(crate) mod headers;
#[cfg(test)]
mod properties;
pub(crate) mod request_body;

use std::sync::Arc;

use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use caremesh_mesh::telemetry::trace_parent;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use tonic::body::Body;

use answer_body::AnswerBody;
use request_body::{FaultCell, Seat, WaitingRoom, Watched, read_one};

use crate::frame::Arity;
use crate::refuse::of_fault;
use crate::routing::Route;
use crate::upstream::held::{Answer, Sending};
use crate::upstream::replica::{Call, Picked};
use crate::upstream::{Held, Upstream};

/// W3C Trace Context: the edge's own span is the parent of the upstream's.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Carries calls.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    /// The largest message that is let through, in either arity.
    pub(crate) max_message_bytes: usize,
    /// Where messages wait for their last byte.
    pub(crate) room: WaitingRoom,
}

impl Forward {
    /// Sends the call to `upstream` and gives its answer.
    ///
    /// # Errors
    /// A refusal for a broken body, an upstream that is not there, or one that breaks off.
    pub(crate) async fn call(
        &self,
        upstream: &Arc<Upstream>,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let (body, _seat, fault) = self.admit(route.requests, body).await?;
        // Picked only now: while a slow body was read, connections may have come and gone. From here to the
        // sending nothing is waited for, so that the connection cannot go in between.
        let Picked { held, call } = upstream.pick().ok_or_else(|| down(upstream))?;
        let request = outbound(&held, route, parts.headers);
        match held.send(request, body).await {
            Ok(answer) => inbound(upstream, answer, fault, call),
            // Whatever may have been seen is the caller's to repeat.
            Err(error) => {
                call.failed();
                Err(broken(upstream, &error, fault.as_ref()))
            }
        }
    }

    /// The body as it goes on, its seat among those that wait, and where a stream leaves its fault.
    async fn admit(
        &self,
        arity: Arity,
        body: Body,
    ) -> Result<(Sending, Option<Seat>, Option<FaultCell>), Refusal> {
        match arity {
            Arity::One => {
                let (bytes, seat) =
                    read_one(body, self.max_message_bytes, &self.room).await.map_err(of_fault)?;
                Ok((Sending::Whole(bytes), Some(seat), None))
            }
            Arity::Many => {
                let (watched, fault) = Watched::new(body, self.max_message_bytes);
                Ok((Sending::Stream(Body::new(watched)), None, Some(fault)))
            }
        }
    }
}

fn outbound(held: &Held, route: &Route, mut headers: HeaderMap) -> Request<()> {
    headers::clean_outbound(&mut headers);
    if let Some(parent) = trace_parent().and_then(|it| HeaderValue::try_from(it).ok()) {
        headers.insert(TRACEPARENT, parent);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = held.uri(route.path.clone());
    *request.headers_mut() = headers;
    request
}

/// Something that is not a gRPC answer (a proxy's error page) is an upstream that is not there.
fn inbound(
    upstream: &Upstream,
    answer: Response<Answer>,
    fault: Option<FaultCell>,
    call: Call,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, body) = answer.into_parts();
    let is_grpc =
        parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if parts.status != StatusCode::OK || !is_grpc {
        tracing::warn!(
            upstream.name = upstream.name(),
            http.response.status_code = parts.status.as_u16(),
            "An upstream answered something that is not gRPC."
        );
        call.failed();
        return Err(down(upstream));
    }
    headers::clean_answer(&mut parts.headers);
    let status = parts.headers.get("grpc-status");
    // Not there, says a server that stops or a proxy in front of nothing.
    if status.is_some_and(|it| it.as_bytes() == b"14") {
        call.failed()
    } else {
        call.answered()
    }
    let status_sent = status.is_some();
    Ok(Response::from_parts(parts, Body::new(AnswerBody::new(body, fault, status_sent, call))))
}

fn down(upstream: &Upstream) -> Refusal {
    Refusal::new(CommonReason::DependencyDown).metadata("dependency", upstream.name())
}

/// A connection or a stream that broke before the headers of the answer. Whether the call was
/// carried out is unknown: its `request_id` makes asking again safe.
fn broken(upstream: &Upstream, error: &h2::Error, fault: Option<&FaultCell>) -> Refusal {
    if let Some(fault) = fault.and_then(|cell| cell.get()) {
        return of_fault(*fault);
    }
    tracing::info!(
        upstream.name = upstream.name(),
        error = %error,
        "A call broke off before its answer."
    );
    down(upstream)
}
