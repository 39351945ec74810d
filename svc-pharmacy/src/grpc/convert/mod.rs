//! Wire to domain and back, one file per service of the contract. Nothing is decided here; a field that means nothing is a
//! violation that names the field and the rule.

pub(super) mod branch;
pub(super) mod order;
pub(super) mod prescription;
pub(super) mod safety;
pub(super) mod stock;
