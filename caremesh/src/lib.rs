//! The one binary: every command, its settings, the demo issuer and the demo data.
//! Composition only: what a service does lives in its own crate.

pub mod cli;
pub mod commands;
pub mod config;
pub mod data;
pub mod demo;
pub mod endpoints;
pub mod exit;
pub mod files;
pub mod issuer;
pub mod terminal;
pub mod token;
