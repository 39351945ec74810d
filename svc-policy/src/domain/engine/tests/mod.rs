//! Proof of the engine: hand-computed cases (`tests/cases/*.toml`), properties against a simple model, parts and crossing.
#![expect(clippy::inconsistent_digit_grouping, reason = "3_000_000_00 reads as 3,000,000.00")]

mod cases;
mod crossing;
mod faults;
mod model;
mod parts;
mod properties;
mod stays;
mod world;
