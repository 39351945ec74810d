//! Everything about calling and being called: one server stack, one client stack, and the types that
//! pass through both. It knows the contract's options and nothing of any domain, store or plan.
//!
//! # The server stack, outermost first (`server.rs` is the only place that orders it)
//!
//! 1. trace, 2. metrics (`telemetry/`): see every answer, the refusals below included
//! 3. opening: finds the method in the contract, notes when the call arrived
//! 4. catch-panic: inside trace, so that the panic has a span; outside all that could panic
//! 5. arrival: before admission, so that a slow sender holds no place
//! 6. admission: before any work is spent on a call that will be shed
//! 7. end of streams: told when the server stops
//! 8. deadline: covers identity and audit too, which may wait for a key set or a disk
//! 9. audit of strangers: outside identity, so that refused tokens are events too
//! 10. identity: who calls
//! 11. audit: outside access, so that refusals are events too
//! 12. access: may they
//! 13. errors: what the handler may answer with
//! 14. `accept(request)?`, then the handler
//!
//! # The client stack, outermost first (`client.rs` is the only place that orders it)
//!
//! context → trace → metrics → retry → hedge → per-try deadline → breaker → balance → reconnect → mTLS
//!
//! # Map
//!
//! | file | what |
//! |---|---|
//! | `policy.rs` | the contract's options as data, refused at start when incomplete |
//! | `reason.rs`, `refusal.rs`, `status.rs` | reasons of the contract → `Status` → reasons at the client |
//! | `principal.rs`, `context.rs` | who calls, and everything a use case needs to know of its call |
//! | `deadline.rs` | how long is left, read from and written to `grpc-timeout` |
//! | `layer.rs`; `opening`, `catch_panic`, `arrival`, `admission`, `draining`, `identify`, `audit`, `access`, `errors` | the server's layers, one file each |
//! | `offer.rs` | how a generated service is offered: limit, compression |
//! | `accept.rs`, `wire.rs`, `page.rs` | what a handler does with a request: check it, convert it, page it |
//! | `server.rs`, `connections.rs`, `frame_limit.rs` | the list of layers; the HTTP/2 connections under it and their limits |
//! | `health.rs`, `admin.rs` | probes, readiness, the plain-text port |
//! | `lifecycle.rs` | signals, drain, hard end |
//! | `client.rs` | the client's layers, in order; one file each in `client/`; replicas and their choice in `client/balance/` |
//! | `port/` | what services need of the world outside: payments |
//! | `config.rs` | every limit and time of a server |
//! | `tls/`, `identity/` | who calls: certificates, tokens |
//! | `ticket.rs` | what a service lets one person do with one document, and what came of it; signed |
//! | `telemetry/` | what operators see of a call: trace, metrics, log lines |

pub mod accept;
pub mod access;
pub mod admin;
pub mod admission;
pub mod arrival;
pub mod audit;
pub mod catch_panic;
pub mod client;
pub mod config;
mod connections;
pub mod context;
pub mod deadline;
pub mod draining;
pub mod errors;
mod frame_limit;
pub mod health;
pub mod identify;
pub mod identity;
pub mod layer;
pub mod lifecycle;
pub mod offer;
pub mod opening;
pub mod page;
pub mod policy;
pub mod port;
pub mod principal;
pub mod reason;
pub mod refusal;
pub mod server;
pub mod status;
pub mod telemetry;
pub mod ticket;
pub mod tls;
pub mod wire;

pub use accept::accept;
pub use context::{Action, CallContext, CallParts, Facts, Touched};
pub use deadline::Deadline;
pub use lifecycle::Lifecycle;
pub use policy::{ContractPolicy, MethodPolicy};
pub use principal::{Authenticator, Person, Principal};
pub use reason::{CommonReason, Reason};
pub use refusal::Refusal;

#[cfg(test)]
mod testing;
