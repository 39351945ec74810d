//! What the services need of the world outside and would otherwise each write for themselves: one trait a need, with its
//! local implementation. Must not know which service asks, or why.

pub mod payment;
