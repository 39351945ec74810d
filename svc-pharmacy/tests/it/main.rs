//! svc-pharmacy as its callers see it: through gRPC, over mutual TLS and the real mesh stack, on SQLite and on PostgreSQL,
//! beside a real svc-policy.

mod access;
mod branches;
mod catalogue;
mod catalogue_import;
mod common;
mod contract;
mod dispense;
mod insured;
mod orders;
mod papers;
mod prescriptions;
mod rehearsals;
mod safety;
mod scripts;
mod shared;
mod shop;
mod stock;
mod weather;
