//! The one binary: every command, its settings, the demo issuer and the demo data.
//! Composition only: what a service does lives in its own crate.

pub mod config;
pub mod data;
pub mod demo;
pub mod files;
pub mod issuer;
