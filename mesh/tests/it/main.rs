//! The server stack from outside: a real server, real connections, one behaviour per test. Each of these
//! fails when the layer it is about is taken out of the list in `server.rs`.

mod access;
mod admission;
mod attacks;
mod audit;
mod deadline;
mod errors;
mod health;
mod hops;
mod lifecycle;
mod limits;
mod metrics;
mod pages;
mod panics;
mod probe;
mod reflection;
mod world;
