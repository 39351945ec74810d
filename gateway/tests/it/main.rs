//! The gateway as callers see it: real sockets, real TLS, a real tonic upstream behind it.

mod calls;
mod contract;
mod lifecycle;
mod limits;
mod native;
mod plain;
mod probe;
mod refusals;
mod web;
mod world;
