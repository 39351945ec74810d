//! `traceparent` in and out (W3C Trace Context, level 1). `tracestate` and `baggage` are not taken over:
//! they are free text of whoever calls.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(super) const TRACEPARENT: &str = "traceparent";

/// Made once: it allocates its field names.
static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

struct OnlyTraceparent<'a>(&'a str);

impl Extractor for OnlyTraceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// The remote span that a `traceparent` names; none when it is malformed.
pub(super) fn parse(text: &str) -> Option<SpanContext> {
    let context = PROPAGATOR.extract_with_context(&Context::new(), &OnlyTraceparent(text));
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// The remote span of a request.
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// Digit by digit: every call of the edge renders one, and formatting costs several times as much.
pub(super) fn render(span: &SpanContext) -> String {
    const LENGTH: usize = 55;
    let mut text = String::with_capacity(LENGTH);
    text.push_str("00-");
    push_hex(&mut text, &span.trace_id().to_bytes());
    text.push('-');
    push_hex(&mut text, &span.span_id().to_bytes());
    text.push('-');
    push_hex(&mut text, &[span.trace_flags().to_u8() & 1]);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xF)]);
    }
}

/// Writes the span as the parent of the call that these headers make.
pub(super) fn inject(span: &SpanContext, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(render(span)) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Writes a stored `traceparent`, if it is one.
pub(crate) fn set_trace_parent(headers: &mut HeaderMap, text: &str) {
    if let Some(span) = parse(text) {
        inject(&span, headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_reads_what_it_writes() {
        let span = parse(SAMPLED).expect("well-formed");
        assert!(span.is_sampled() && span.is_remote());
        assert_eq!(render(&span), SAMPLED);
    }

    #[test]
    fn malformed_traceparent_is_no_parent() {
        for text in ["", "00", "00-0-0-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x"] {
            assert!(parse(text).is_none(), "{text} was taken");
        }
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        assert!(parse(zero).is_none());
    }
}
