//! From an offer to cover: quote, purchase, premium, and which states follow which. Pure: instants and ids are
//! arguments. It knows no table, and of the plan only what the premium and the family rules answered.

mod payment;
mod proposal;
mod purchase;
mod quote;
mod state;

pub use payment::{Payment, PaymentRefusal, Receipt, receive};
pub use proposal::{NotNow, ProposalEvent, ProposalState, Terms, needs_review};
pub use purchase::{NewMember, NewPolicy, NewTerm, PurchaseRefusal, purchase};
pub use quote::{Instalment, MemberPremium, Premium, Quote, QuoteMember, QuoteState, expiry};
pub use state::{LifeEvent, NotAllowed, PolicyState};

#[cfg(test)]
mod tests;
