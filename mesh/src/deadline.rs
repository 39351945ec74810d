//! How long a call may still take. `grpc-timeout` says it on the wire, from hop to hop and shrinking;
//! inside a process it is an instant. The layer that enforces it is in `deadline/layer.rs`.

mod header;
mod layer;

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

pub use header::{Malformed, parse, render};
pub use layer::{EnforceDeadline, TimedBody, of_caller};

/// The header that carries a deadline, as the gRPC protocol names it.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The instant at which a call has failed. Copied through a request's extensions and its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `span` from now. Spans beyond a century are one century: `Instant` cannot hold every `Duration`.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self::from(Instant::now(), span)
    }

    /// `span` from `start`, which is when the call arrived.
    #[must_use]
    pub fn from(start: Instant, span: Duration) -> Self {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        Self(start + span.min(CENTURY))
    }

    /// When it is.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of two.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        self.min(other)
    }

    /// `grpc-timeout` for the next hop: what is left less `margin`, the time this hop needs to answer its
    /// own caller after the next hop has given up. None: nothing is left to give, so do not call.
    #[must_use]
    pub fn to_header(self, margin: Duration) -> Option<HeaderValue> {
        let rest = self.remaining().checked_sub(margin).filter(|rest| !rest.is_zero())?;
        HeaderValue::from_str(&render(rest)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_hop_is_given_what_remains_less_the_margin() {
        let deadline = Deadline::after(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let header = deadline.to_header(Duration::from_millis(50)).expect("time is left");
        let given = parse(header.as_bytes()).expect("own output");
        assert!(given <= Duration::from_millis(430), "{given:?}");
        assert!(given <= deadline.remaining(), "the next hop must not get more than is left");
    }

    #[tokio::test]
    async fn a_deadline_within_the_margin_has_nothing_to_give() {
        let deadline = Deadline::after(Duration::from_millis(10));
        assert_eq!(deadline.to_header(Duration::from_millis(10)), None);
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert!(deadline.is_past());
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_span_beyond_what_an_instant_holds_is_cut() {
        assert!(Deadline::after(Duration::MAX).remaining() > Duration::from_secs(86_400));
    }
}
