//! svc-policy as its callers see it: through gRPC, over mutual TLS and the real mesh stack, on SQLite and on PostgreSQL.

mod common;
mod contract;
mod denials;
mod endings;
mod faults;
mod jobs;
mod ledger;
mod life;
mod payees;
mod persons;
mod plan_change;
mod portability;
mod purchase;
mod races;
mod renewal;
mod stay;
mod sum_insured;
mod underwriting;
