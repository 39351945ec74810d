//! Calls over real connections: who is let in, how long a call lasts, what is sent again, and what
//! operators see of it. One binary, because each links the whole mesh.

mod client;
mod mtls;
mod probe;
mod tokens;
mod trace;
