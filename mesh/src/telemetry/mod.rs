//! What operators see of a call: trace, metrics, log lines, all joined by trace id and call id.
//! Must not know who calls or what a message holds: nothing personal can leak from what was never given.
//!
//! An unsampled call makes no span at all: its ids live in a task-local [`CallScope`], which log lines
//! and outgoing calls read. Only a sampled call pays for spans.
//!
//! | file | what |
//! |---|---|
//! | `scope.rs` | the ids of the running call, on whatever task it runs |
//! | `propagation.rs` | `traceparent` in and out |
//! | `sampling.rs` | which traces are kept; which spans may exist |
//! | `observe.rs` | sees a call to its very end: trailers, dropped bodies, lost callers |
//! | `trace.rs`, `metrics.rs` | the two tower layers |
//! | `work.rs` | work nobody waits for: process steps, relays, sweepers |
//! | `logs.rs`, `redact.rs` | JSON lines; messages shown without what the contract calls sensitive |
//! | `init.rs`, `collector.rs` | subscriber, OTLP export and recorder of a process |

mod collector;
mod init;
mod logs;
mod metrics;
mod observe;
mod propagation;
mod redact;
mod sampling;
mod scope;
mod trace;
mod work;

pub use init::{LogFormat, Metrics, Telemetry, TelemetryConfig, TelemetryError, init, init_to};
pub use metrics::{MethodTable, MetricsLayer};
pub use observe::{CallError, Observed, ObservedBody};
pub use redact::Redactor;
pub use scope::{CallId, CallScope, TraceParent, carried, trace_parent};
pub use trace::TraceLayer;
pub use work::{Work, db_span};
pub(crate) use {observe::code_of, propagation::set_trace_parent, trace::set_call_id};
