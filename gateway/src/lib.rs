//! The browser and partner edge: grpc-web and native gRPC come in on one TLS port, are checked, and go
//! on as bytes. It never decodes a domain message and knows no service by name.
//!
//! # Where a call goes, in the order of `edge.rs`
//!
//! `accept/` (connections) → `steps/cors.rs` → `steps/speech.rs` (plain HTTP leaves to `files.rs`) →
//! tonic-web → `steps/route.rs` → `steps/address.rs` → `steps/deadline.rs` → `steps/authenticate.rs` →
//! `steps/principal_limit.rs` → `steps/exposure.rs` → `forward/` or `own.rs`
//!
//! Plain HTTP below `/documents/` goes to `documents/`, which takes and gives bytes for the tickets of services.
//!
//! # Which thread carries it
//!
//! `accept/` hands each connection to one of the threads of `crew.rs`, one per core; each holds connections
//! of its own to every replica, so that a call never changes its thread.
//!
//! # Where the routes come from
//!
//! `upstream/discover.rs` finds the replicas, `upstream/keep.rs` holds the connections, `upstream/learn.rs` asks over reflection what is served,
//! `routing.rs` makes the table, `own.rs` shows all of it as one reflection and health service.

mod accept;
mod admin;
mod certificate;
mod config;
mod crew;
mod documents;
mod edge;
mod files;
mod forward;
mod frame;
mod limits;
mod own;
mod refuse;
mod routing;
mod serve;
mod steps;
mod upstream;

pub use certificate::CertificateError;
pub use config::{
    CertificateFiles, ConfigError, DocumentStore, DocumentsConfig, Drain, GatewayConfig, Limits,
    ReflectionAccess, S3Store,
};
pub use limits::Rate;
pub use serve::{Error, Gateway, Parts, serve};
