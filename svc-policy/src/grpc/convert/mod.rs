//! Wire to domain and back, one file per service of the contract. Nothing is decided here; a field that means nothing is a
//! violation that names the field and the rule.

pub(super) mod benefit;
pub(super) mod cover;
pub(super) mod endorsement;
mod layers;
pub(super) mod person;
pub(super) mod plan;
pub(super) mod policy;
pub(super) mod price;
pub(super) mod underwriting;
pub(super) mod words;
