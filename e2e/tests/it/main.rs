//! The whole of it from outside: real binaries, real clients, real databases.

mod browser;
mod canary;
mod clients;
mod crash;
mod drain;
mod grpcurl;
mod medicines;
mod python;
mod rotation;
mod startup;
mod trace;
