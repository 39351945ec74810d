//! The one binary: every command, its settings, the demo issuer and the demo data.
//! Composition only: what a service does lives in its own crate.

pub mod admin;
pub mod cli;
pub mod commands;
pub mod components;
pub mod config;
pub mod data;
pub mod demo;
pub mod edge_client;
pub mod endpoints;
pub mod exit;
pub mod files;
pub mod import;
pub mod issuer;
pub mod keys;
pub mod process;
pub mod ready;
pub mod reload;
pub mod serve;
pub mod terminal;
pub mod token;
pub mod up;
