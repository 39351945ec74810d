//! What svc-pharmacy decides: pure, synchronous, told the time. Knows no transport, no rows, no wire and no clock.

pub mod branch;
pub mod order;
pub mod prescription;
pub mod product;
pub mod safety;
pub mod stock;
