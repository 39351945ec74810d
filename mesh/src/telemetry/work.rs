//! Work nobody waits for, and the work of a database on behalf of a call. Must not know any process.

use std::{future::Future, sync::Arc, time::Duration};

use opentelemetry::trace::TraceContextExt;
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    propagation, sampling,
    scope::{CallScope, span_context_of},
};

/// After this long a step starts a trace of its own that links back: a trace that stays open for days
/// is shown by no tool.
const ONE_TRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// One piece of background work: a process step, a relay's batch, a sweep.
#[derive(Debug)]
pub struct Work {
    service: Arc<str>,
    name: &'static str,
    parent: Option<opentelemetry::trace::SpanContext>,
    linked: bool,
}

impl Work {
    /// Work called `name` (`relay outbox`: a fixed text, never data) of `service`.
    #[must_use]
    pub fn new(service: &str, name: &'static str) -> Self {
        Self { service: service.into(), name, parent: None, linked: false }
    }

    /// Continues the trace whose `traceparent` was stored `age` ago: as a child within a day, by a link
    /// after that. A malformed text starts a new trace.
    #[must_use]
    pub fn continuing(mut self, trace_parent: Option<&str>, age: Duration) -> Self {
        self.parent = trace_parent.and_then(propagation::parse);
        self.linked = age > ONE_TRACE;
        self
    }

    /// Runs the work in its scope and, when the trace is kept, its span.
    pub fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let within = self.parent.as_ref().filter(|_| !self.linked);
        let scope = CallScope::new(self.service.clone(), None, sampling::begin(within, true));
        // In the scope, because the exporter's ids and sampler read it when the span starts.
        let (span, own) = scope.enter(|| {
            let span = if scope.is_sampled() { self.span() } else { Span::none() };
            let own = span_context_of(&span);
            (span, own)
        });
        let scope = if own.is_valid() { CallScope::new(self.service, None, own) } else { scope };
        scope.run(future.instrument(span))
    }

    fn span(&self) -> Span {
        let span = tracing::info_span!(
            target: "caremesh::work",
            "work",
            otel.name = self.name,
            otel.kind = "internal",
            caremesh.service = &*self.service,
        );
        match &self.parent {
            Some(parent) if self.linked => span.add_link(parent.clone()),
            Some(parent) => {
                let parent = opentelemetry::Context::new().with_remote_span_context(parent.clone());
                // Refused only without an exporter, and then there is nothing to belong to.
                drop(span.set_parent(parent));
            }
            None => {}
        }
        span
    }
}

/// The span of one statement or transaction: `system` is `postgresql` or `sqlite`, `operation` a fixed
/// text (`post posting`). Never SQL, never a value. Costs nothing when the trace is not kept.
#[must_use]
pub fn db_span(system: &'static str, operation: &'static str) -> Span {
    tracing::info_span!(
        target: "caremesh::db",
        "db",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = system,
        db.operation.name = operation,
    )
}
