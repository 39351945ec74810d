//! Everything about calling and being called: one server stack, one client stack, and the types that
//! pass through both. It knows the contract's options and nothing of any domain, store or plan.
//!
//! # The server stack, outermost first (`server.rs` is the only place that orders it)
//!
//! 1. opening: looks the method's policy up, mints the call id, notes when the call arrived
//! 2. trace, 3. metrics (`telemetry/`): see every answer, the refusals below included
//! 4. catch-panic: inside trace, so that the panic has a span; outside all that could panic
//! 5. admission: before any work is spent on a call that will be shed
//! 6. deadline: covers identity and audit too, which may wait for a key set or a disk
//! 7. identity: who calls
//! 8. audit: outside access, so that refusals are events too
//! 9. access: may they
//! 10. errors: what the handler may answer with
//! 11. `accept(request)?`, then the handler
//!
//! # The client stack, outermost first (`client.rs` is the only place that orders it)
//!
//! trace → metrics → retry → per-try deadline → breaker → balance → reconnect → mTLS
//!
//! # Map
//!
//! | file | what |
//! |---|---|
//! | `policy.rs` | the contract's options as data, refused at start when incomplete |
//! | `reason.rs`, `refusal.rs`, `status.rs` | reasons of the contract → `Status` → reasons at the client |
//! | `principal.rs`, `context.rs` | who calls, and everything a use case needs to know of its call |
//! | `deadline.rs` | how long is left, read from and written to `grpc-timeout` |
//! | `tls/`, `identity/` | who calls: certificates, tokens |
//! | `telemetry/` | what operators see of a call: trace, metrics, log lines |

pub mod accept;
pub mod context;
pub mod deadline;
pub mod identity;
pub mod policy;
pub mod principal;
pub mod reason;
pub mod refusal;
pub mod status;
pub mod telemetry;
pub mod tls;

pub use accept::accept;
pub use context::{Action, CallContext, CallParts, Facts, Touched};
pub use deadline::Deadline;
pub use policy::{ContractPolicy, MethodPolicy};
pub use principal::{Authenticator, Person, Principal};
pub use reason::{CommonReason, Reason};
pub use refusal::Refusal;

#[cfg(test)]
mod testing;
