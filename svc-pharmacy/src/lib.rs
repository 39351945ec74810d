//! svc-pharmacy: medicines and their search, prescriptions, stock, orders and delivery at the insured price.
//!
//! `config → App → routes`. Rooms, each knowing only those below it:
//!
//! | room | what |
//! |---|---|
//! | `service.rs`, `config.rs` | puts the service together; settings |
//! | `grpc/` | the contract over tonic: accept → use case → render; the only place that makes a Status |
//! | `worker/` | what happens without a call: relay, audit sealer, process steps, sweeper |
//! | `app/` | one file per use case: authorise → load → decide → save expecting a version → outbox → commit |
//! | `import/` | files of medicines into the catalogue |
//! | `clients/` | svc-policy over gRPC: prices, holds, persons |
//! | `store/`, `migration/` | the tables; the only place that names sea-orm |
//! | `search/` | finding a medicine: what a query means, two engines, the order of what is found |
//! | `domain/` | pure rules: orders, shares of parts, settlement, prescriptions, safety, stock |

pub mod app;
pub mod clients;
mod config;
pub mod domain;
mod grpc;
pub mod import;
pub mod migration;
pub mod search;
mod service;
pub mod store;
mod worker;

pub use app::import_reference::ReferenceReport;
pub use config::{Config, ConfigError, PaymentConfig, PaymentProvider, SearchConfig};
pub use service::{
    Error, NAME, Parts, Service, import_medications, import_reference, key_store, migrate, serve, start,
    start_paying, start_rehearsed, verify_audit, verify_stock,
};
