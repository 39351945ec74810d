//! The gateway as callers see it: real sockets, real TLS, a real tonic upstream behind it.

mod attacks;
mod bucket;
mod calls;
mod contract;
mod documents;
mod layers;
mod lifecycle;
mod limits;
mod native;
mod plain;
mod probe;
mod raw;
mod refusals;
mod replicas;
mod web;
mod world;
