//! The crate from outside: the demo issuer as a client sees it, and the commands as a shell sees them.

mod browser;
mod issuer;
mod issuer_refusals;
