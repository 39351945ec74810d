//! svc-policy: plans, families, cover, the benefit engine and the ledger that three businesses spend from at once.
//!
//! `config → App → routes`. Rooms, each knowing only those below it:
//!
//! | room | what |
//! |---|---|
//! | `service.rs`, `config.rs` | puts the service together; settings |
//! | `grpc/` | the contract over tonic: accept → use case → render; the only place that makes a Status |
//! | `worker/` | what happens without a call: relay, audit sealer, sweeper |
//! | `app/` | one file per use case: authorise → load → decide → save expecting a version → outbox → commit |
//! | `store/`, `migration/` | the tables; the only place that names sea-orm |
//! | `domain/` | pure rules: plans, engine, ledger, premium, eligibility, policy |

pub mod app;
mod config;
pub mod domain;
mod grpc;
pub mod migration;
mod service;
pub mod store;
mod worker;

pub use config::{Config, ConfigError};
pub use service::{
    Error, NAME, Parts, Service, key_store, migrate, serve, start, verify_audit, verify_ledger,
};
