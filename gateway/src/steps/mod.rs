//! The steps of the edge, one file each; `edge.rs` puts them in order.
//! A step knows its own decision and nothing of its neighbours.

pub(crate) mod address;
pub(crate) mod authenticate;
pub(crate) mod call_id;
pub(crate) mod content_type;
pub(crate) mod cors;
pub(crate) mod deadline;
pub(crate) mod draining;
pub(crate) mod exposure;
pub(crate) mod gate;
pub(crate) mod principal_limit;
pub(crate) mod route;
pub(crate) mod speech;
pub(crate) mod stream_limit;
