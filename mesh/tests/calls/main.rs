//! Calls over real connections: who is let in, how long a call lasts, what is sent again, and what
//! operators see of it. One binary, because each links the whole mesh.

mod balance;
mod client;
mod faults;
mod mtls;
mod probe;
mod tokens;
mod trace;
