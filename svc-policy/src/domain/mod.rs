//! What svc-policy decides, as pure functions and values.
//!
//! Knows no I/O, no clock, no tonic, prost or sea-orm: whatever it needs is an argument.

pub mod account;
pub mod eligibility;
pub mod engine;
pub mod ledger;
pub mod life;
pub mod opening;
pub mod person;
pub mod plan;
pub mod policy;
pub mod premium;
pub mod relimit;
