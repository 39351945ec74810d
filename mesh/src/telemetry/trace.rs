//! The trace layer, for servers, for the edge and for clients: gives each call its ids and, when the
//! trace is kept, its span. Outermost in both stacks, so that every answer is seen, refusals included.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, Request, Response};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    observe::{CallError, Observed, ObservedBody, Observer},
    propagation, sampling,
    scope::{CallId, CallScope, span_context_of},
};

/// Carries the call id from hop to hop.
pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("x-caremesh-call-id");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Which end of a call this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A service called from inside the mesh: the caller's ids are taken over.
    Server,
    /// Where strangers call: a new call id, no baggage, and our own decision what to keep.
    Edge,
    Client,
}

/// Makes the trace layer. See [`TraceLayer::server`], [`TraceLayer::edge`], [`TraceLayer::client`].
#[derive(Debug, Clone)]
pub struct TraceLayer {
    side: Side,
    service: Arc<str>,
}

impl TraceLayer {
    /// For a server inside the mesh that is `service` (`svc-policy`).
    #[must_use]
    pub fn server(service: &str) -> Self {
        Self { side: Side::Server, service: service.into() }
    }

    /// For the gateway: baggage from outside is dropped, the call id is made here, and a stranger's
    /// sampling flag is not followed.
    #[must_use]
    pub fn edge(service: &str) -> Self {
        Self { side: Side::Edge, service: service.into() }
    }

    /// For calls that `service` makes.
    #[must_use]
    pub fn client(service: &str) -> Self {
        Self { side: Side::Client, service: service.into() }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, layer: self.clone() }
    }
}

/// The service of [`TraceLayer`].
#[derive(Debug, Clone)]
pub struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: CallError,
{
    type Response = Response<ObservedBody<R, CallTrace>>;
    type Error = S::Error;
    type Future = Observed<S::Future, CallTrace>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = match self.layer.side {
            Side::Client => CallTrace::outgoing(&self.layer.service, &mut request),
            side => CallTrace::incoming(side, &self.layer.service, &mut request),
        };
        let future = call.enter(|| self.inner.call(request));
        Observed::new(future, call)
    }
}

/// The trace of one call: entered around all its work, closed with its code.
#[derive(Debug)]
pub struct CallTrace {
    scope: CallScope,
    /// None when the trace is not kept: then there is no span to pay for.
    span: Option<Span>,
    /// A client's own scope is its caller's; it must not replace that.
    enters_scope: bool,
}

impl CallTrace {
    fn incoming<B>(side: Side, service: &Arc<str>, request: &mut Request<B>) -> Self {
        let parent = propagation::extract(request.headers());
        let call_id = call_id(side, request);
        if side == Side::Edge {
            request.headers_mut().remove(BAGGAGE);
        }
        let begun = sampling::begin(parent.as_ref(), side == Side::Server);
        let scope = CallScope::new(service.clone(), Some(call_id.clone()), begun);
        if !scope.is_sampled() {
            return Self { scope, span: None, enters_scope: true };
        }
        // In the scope, because the exporter's ids and sampler read it when the span starts.
        let (span, own) = scope.enter(|| {
            let span = server_span(service, request.uri().path(), &call_id);
            adopt(&span, parent);
            let own = own_context(&span, &scope);
            (span, own)
        });
        Self {
            scope: CallScope::new(service.clone(), Some(call_id), own),
            span: Some(span),
            enters_scope: true,
        }
    }

    fn outgoing<B>(service: &Arc<str>, request: &mut Request<B>) -> Self {
        let scope = CallScope::current().unwrap_or_else(|| unprompted(service, request.headers()));
        let (span, parent) = scope.enter(|| {
            let span = scope.is_sampled().then(|| client_span(service, request.uri().path()));
            let parent = span.as_ref().map_or_else(|| scope.span().clone(), |span| own_context(span, &scope));
            (span, parent)
        });
        propagation::inject(&parent, request.headers_mut());
        Self { scope, span, enters_scope: false }
    }
}

/// A call that nobody called for (a relay, a health check) continues the trace its headers name.
fn unprompted(service: &Arc<str>, headers: &HeaderMap) -> CallScope {
    let parent = propagation::extract(headers);
    CallScope::new(service.clone(), None, sampling::begin(parent.as_ref(), true))
}

fn adopt(span: &Span, parent: Option<SpanContext>) {
    if let Some(parent) = parent {
        // Refused only when no exporter is installed, and then there is no parent to keep.
        drop(span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent)));
    }
}

/// The span's own ids; the scope's when no exporter is installed and the span has none.
fn own_context(span: &Span, scope: &CallScope) -> SpanContext {
    let own = span_context_of(span);
    if own.is_valid() { own } else { scope.span().clone() }
}

/// The caller's call id inside the mesh; a new one at the edge, or when there is none.
fn call_id<B>(side: Side, request: &mut Request<B>) -> CallId {
    let theirs = request.headers().get(CALL_ID).filter(|_| side == Side::Server);
    let theirs = theirs.and_then(|value| CallId::parse(value.to_str().ok()?));
    let call_id = theirs.unwrap_or_else(CallId::fresh);
    if side == Side::Edge {
        set_call_id(request.headers_mut(), &call_id);
    }
    request.extensions_mut().insert(call_id.clone());
    call_id
}

pub(crate) fn set_call_id(headers: &mut HeaderMap, call_id: &CallId) {
    if let Ok(value) = http::HeaderValue::try_from(call_id.as_str()) {
        headers.insert(CALL_ID, value);
    }
}

fn server_span(service: &str, path: &str, call_id: &CallId) -> Span {
    let (rpc_service, rpc_method) = names_in(path);
    tracing::info_span!(
        target: "caremesh::rpc",
        "rpc",
        otel.name = format_args!("{rpc_service}/{rpc_method}"),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = rpc_service,
        rpc.method = rpc_method,
        rpc.grpc.status_code = Empty,
        caremesh.service = service,
        caremesh.call_id = call_id.as_str(),
    )
}

fn client_span(service: &str, path: &str) -> Span {
    let (rpc_service, rpc_method) = names_in(path);
    tracing::info_span!(
        target: "caremesh::rpc",
        "rpc",
        otel.name = format_args!("{rpc_service}/{rpc_method}"),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = rpc_service,
        rpc.method = rpc_method,
        rpc.grpc.status_code = Empty,
        caremesh.service = service,
    )
}

/// Service and method of a path; `other` for anything that is not shaped like a gRPC path, because a
/// path is free text of whoever calls.
fn names_in(path: &str) -> (&str, &str) {
    const LONGEST: usize = 200;
    let named = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    let clean = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
    };
    match named {
        Some((service, method)) if path.len() <= LONGEST && clean(service) && clean(method) => {
            (service, method)
        }
        _ => ("other", "other"),
    }
}

impl Observer for CallTrace {
    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let work = || match &self.span {
            Some(span) => span.in_scope(work),
            None => work(),
        };
        if self.enters_scope { self.scope.enter(work) } else { work() }
    }

    fn ended(self, code: Code) {
        let Some(span) = &self.span else { return };
        span.record("rpc.grpc.status_code", i32::from(code));
        if is_fault(code) {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// Codes that are a fault of the answering side, not an answer to a wrong or unlucky question.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests {
    use super::names_in;

    #[test]
    fn path_that_is_not_a_method_is_not_put_into_a_span() {
        assert_eq!(
            names_in("/caremesh.policy.v1.PolicyService/GetPolicy"),
            ("caremesh.policy.v1.PolicyService", "GetPolicy")
        );
        for path in ["/", "/x", "/a/b/c", "/Ada%20Obi/+2348012345678", "//m"] {
            assert_eq!(names_in(path), ("other", "other"), "{path}");
        }
    }
}
