//! Which traces are kept, and which spans may exist at all. The decision is the caller's if there is a
//! caller, else a fixed share by trace id; it is taken once, before any span is made.

use std::sync::atomic::{AtomicU32, Ordering};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, SamplingDecision, SamplingResult, ShouldSample,
};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{Layer, filter::Targets, layer::Context as LayerContext};

use super::scope::CallScope;

const MILLION: u32 = 1_000_000;

/// Share of new traces that are kept, in millionths. Nothing is kept before telemetry is started.
static KEPT_PER_MILLION: AtomicU32 = AtomicU32::new(0);

pub(super) fn keep_per_million(share: u32) {
    KEPT_PER_MILLION.store(share.min(MILLION), Ordering::Relaxed);
}

/// The same trace id gives the same answer in every process with the same share.
fn keeps(trace_id: TraceId) -> bool {
    let [.., a, b, c, d] = trace_id.to_bytes();
    u32::from_be_bytes([a, b, c, d]) % MILLION < KEPT_PER_MILLION.load(Ordering::Relaxed)
}

/// A span context for a call that comes from `parent`, or starts a trace. The flag of a parent that is
/// `trusted` is followed; another's trace id is taken over, but it cannot make us keep the trace.
pub(super) fn begin(parent: Option<&SpanContext>, trusted: bool) -> SpanContext {
    let trace_id = parent.map_or_else(|| RandomIdGenerator::default().new_trace_id(), SpanContext::trace_id);
    let sampled = match parent {
        Some(parent) if trusted => parent.is_sampled(),
        _ => keeps(trace_id),
    };
    let flags = TraceFlags::default().with_sampled(sampled);
    SpanContext::new(trace_id, RandomIdGenerator::default().new_span_id(), flags, false, TraceState::NONE)
}

/// Makes root spans carry the trace id that the scope has decided on already.
#[derive(Debug, Default)]
pub(super) struct ScopeIds(RandomIdGenerator);

impl IdGenerator for ScopeIds {
    fn new_trace_id(&self) -> TraceId {
        CallScope::with_current(|scope| scope.map(|scope| scope.span().trace_id()))
            .unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Follows the parent, then the scope, then the share.
#[derive(Debug, Clone)]
pub(super) struct ScopeSampler;

impl ShouldSample for ScopeSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let parent =
            parent.map(|context| context.span().span_context().clone()).filter(SpanContext::is_valid);
        let scope = || CallScope::with_current(|scope| scope.map(CallScope::is_sampled));
        // The scope first: at the edge it overrules a stranger's flag.
        let kept = scope().or_else(|| parent.map(|p| p.is_sampled())).unwrap_or_else(|| keeps(trace_id));
        SamplingResult {
            decision: if kept { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// Lets a span (all of ours are of level INFO) exist only where it will be kept, and only our own: other crates' spans may hold SQL
/// text or headers, and the exporter's own transport would trace itself. A layer of the whole stack
/// and not a filter of one: a span that only filters turn away is still made and stored.
///
/// It also turns away, once per call site, the events that no log takes. With filters of single layers alone
/// such a call site stays "perhaps" and is asked again for every frame that HTTP/2 reads or writes: a tenth of
/// a call's processor time, measured.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    /// What the log takes.
    pub(super) logged: Targets,
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("caremesh")
}

impl<S: Subscriber> Layer<S> for Admitted {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let logged = || self.logged.would_enable(metadata.target(), metadata.level());
        match (metadata.is_span(), is_own(metadata)) {
            (false, _) if logged() => Interest::always(),
            (true, true) => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    // Without it nothing is too fine to be asked about: the filters of the layers further in give no hint.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        let logged = Layer::<S>::max_level_hint(&self.logged);
        logged.map(|logged| logged.max(LevelFilter::INFO))
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: LayerContext<'_, S>) -> bool {
        // Outside a scope nobody has decided: such a span would be the root of a trace of its own.
        let kept = || CallScope::with_current(|scope| scope.is_some_and(CallScope::is_sampled));
        !metadata.is_span() || (is_own(metadata) && kept())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        SpanContext::new(
            TraceId::from_bytes([7; 16]),
            SpanId::from_bytes([9; 8]),
            flags,
            true,
            TraceState::NONE,
        )
    }

    #[test]
    fn trusted_parent_decides_and_strangers_flag_does_not() {
        assert!(begin(Some(&remote(true)), true).is_sampled());
        assert!(!begin(Some(&remote(false)), true).is_sampled());
        // The share is 0 in this process.
        assert!(!begin(Some(&remote(true)), false).is_sampled());
        assert_eq!(begin(Some(&remote(true)), false).trace_id(), TraceId::from_bytes([7; 16]));
    }

    #[test]
    fn call_without_parent_starts_a_trace_with_ids() {
        let span = begin(None, true);
        assert!(span.is_valid());
        assert_ne!(span.trace_id(), begin(None, true).trace_id());
    }
}
