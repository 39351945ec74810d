//! Who calls: a person by token, a workload by certificate, verified at every hop.
//! Must not know any method or who may call it: that is access.
//!
//! A call made while a person waits carries that person's token and the calling service's certificate.
//! A step that runs later carries only the certificate and names the person as data
//! ([`metadata::on_behalf_of`]), which is audited and is never authority.
//!
//! | file | what |
//! |---|---|
//! | `spiffe.rs` | the name in a workload's certificate |
//! | `config.rs` | which issuers are believed, and how their claims are named |
//! | `fetch.rs`, `keys.rs` | an issuer's key set: fetched, rotating, stale while it is fetched again |
//! | `claims.rs`, `token.rs` | a token becomes a person, once; then it is remembered until it expires |
//! | `authenticator.rs` | the two together, for the server stack and the gateway |
//! | `metadata.rs` | what else travels with a call, by header |

mod authenticator;
mod claims;
mod config;
mod fetch;
mod keys;
pub mod metadata;
mod spiffe;
mod token;

pub use authenticator::Identity;
pub use config::{ClaimNames, IdentityConfig, IdentityError, IssuerConfig};
pub use spiffe::{SpiffeError, SpiffeId};
