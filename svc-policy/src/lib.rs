//! Plans, families, cover, the benefit engine and the ledger.

pub mod domain;
