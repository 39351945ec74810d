//! How often one address may call, before anything is spent on finding out who it is.
//! Must not know principals, and logs no address.

use std::net::IpAddr;
use std::sync::Arc;

use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http::Request;
use tonic::body::Body;

use super::gate::Gate;
use crate::limits::{AddressKey, KeyedLimit};

/// The far end of the connection, put into the extensions by the accept loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallerAddress(pub(crate) IpAddr);

/// The limit per address.
#[derive(Clone)]
pub(crate) struct AddressLimit(pub(crate) Arc<KeyedLimit<AddressKey>>);

impl Gate for AddressLimit {
    fn pass(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        let Some(CallerAddress(address)) = request.extensions().get().copied() else {
            return Ok(());
        };
        self.0.check(&address.into()).map_err(|wait| {
            Refusal::new(CommonReason::Overloaded).metadata("limit", "address").retry_after(wait)
        })
    }
}
