//! The ids of the running call, on whatever task it runs. Must not hold anything of the caller.

use std::{fmt, future::Future, sync::Arc};

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tokio::task::futures::TaskLocalFuture;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::propagation;

tokio::task_local! {
    static SCOPE: CallScope;
}

/// The id of one call in logs and audit: given by the edge, forwarded from hop to hop. In the
/// extensions of a request once the trace layer has seen it. Another thing than a `request_id`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CallId(Arc<str>);

impl CallId {
    const LONGEST: usize = 64;

    /// Takes `text` for an id if it is 1 to 64 letters, digits, `-` or `_`; else nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::LONGEST;
        let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (fits && clean).then(|| Self(text.into()))
    }

    /// A new one. From the generator of trace ids, which is seeded once per thread: the system's would cost a call of
    /// the kernel each time, and this is no secret.
    pub(super) fn fresh() -> Self {
        let drawn = RandomIdGenerator::default().new_trace_id().to_bytes();
        uuid::Builder::from_random_bytes(drawn).into_uuid().into()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<uuid::Uuid> for CallId {
    fn from(id: uuid::Uuid) -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self((&*id.hyphenated().encode_lower(&mut buffer)).into())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Under which service, call and span the present task works. A cheap clone.
#[derive(Clone)]
pub struct CallScope(Arc<Inner>);

struct Inner {
    service: Arc<str>,
    call_id: Option<CallId>,
    span: SpanContext,
}

impl CallScope {
    pub(super) fn new(service: Arc<str>, call_id: Option<CallId>, span: SpanContext) -> Self {
        Self(Arc::new(Inner { service, call_id, span }))
    }

    /// The scope the present task runs in, if it runs in one.
    #[must_use]
    pub fn current() -> Option<Self> {
        SCOPE.try_with(Self::clone).ok()
    }

    /// Looks at the present scope without cloning it.
    pub(super) fn with_current<R>(look: impl Fn(Option<&Self>) -> R) -> R {
        SCOPE.try_with(|scope| look(Some(scope))).unwrap_or_else(|_| look(None))
    }

    /// The service that works, `svc-policy`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The call it works for; none for work that nobody called for.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        self.0.call_id.as_ref().map(CallId::as_str)
    }

    /// Whether the trace is kept.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.span.is_sampled()
    }

    pub(super) fn span(&self) -> &SpanContext {
        &self.0.span
    }

    /// Runs `f` in this scope.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        SCOPE.sync_scope(self.clone(), f)
    }

    /// `future`, in this scope wherever it is polled.
    pub fn run<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        SCOPE.scope(self, future)
    }
}

impl fmt::Debug for CallScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallScope")
            .field("service", &self.0.service)
            .field("call_id", &self.0.call_id)
            .field("trace_id", &self.0.span.trace_id())
            .finish_non_exhaustive()
    }
}

/// `future` with the present task's scope and span, for a task that is spawned: a spawned task starts
/// without either, and its log lines and spans would belong to nobody.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let scope = CallScope::current();
    let future = future.instrument(Span::current());
    async move {
        match scope {
            Some(scope) => scope.run(future).await,
            None => future.await,
        }
    }
}

/// Where a trace goes on: a span of this process, or what a stored row says. Written as text only when somebody
/// asks, which most calls never do. A cheap clone.
#[derive(Clone, Debug)]
pub struct TraceParent(Origin);

#[derive(Clone, Debug)]
enum Origin {
    Span(SpanContext),
    Text(Arc<str>),
}

impl TraceParent {
    /// Of the present span. None outside a call.
    #[must_use]
    pub fn present() -> Option<Self> {
        present_span().map(|span| Self(Origin::Span(span)))
    }

    /// As W3C `traceparent`.
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.0 {
            Origin::Span(span) => propagation::render(span),
            Origin::Text(text) => text.to_string(),
        }
    }
}

impl From<String> for TraceParent {
    /// What a stored row says; it is read when a call is made with it.
    fn from(text: String) -> Self {
        Self(Origin::Text(text.into()))
    }
}

/// W3C `traceparent` of the present span, for a row or a call that continues the trace. None outside a
/// call.
#[must_use]
pub fn trace_parent() -> Option<String> {
    TraceParent::present().map(|parent| parent.to_text())
}

/// The innermost span of a sampled call; the scope's own ids otherwise.
pub(super) fn present_span() -> Option<SpanContext> {
    let scope = CallScope::current()?;
    if !scope.is_sampled() {
        return Some(scope.span().clone());
    }
    let innermost = span_context_of(&Span::current());
    Some(if innermost.is_valid() { innermost } else { scope.span().clone() })
}

pub(super) fn span_context_of(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}
