//! Proof of the engine: hand-computed cases (`tests/cases/*.toml`), properties against a simple model, parts and crossing.

mod cases;
mod crossing;
mod model;
mod parts;
mod properties;
mod world;
