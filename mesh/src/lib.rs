//! Everything about calling and being called.

pub mod identity;
pub mod tls;
