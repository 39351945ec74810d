//! Looks the called method up, once, for all later steps. Decides nothing: what an unknown method
//! means is said by `exposure.rs`, after the caller is known.

use std::sync::Arc;

use caremesh_mesh::refusal::Refusal;
use http::Request;
use tonic::body::Body;

use super::gate::Gate;
use crate::routing::{Route, Routing};

/// The route of a known method, in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Routed(pub(crate) Arc<Route>);

/// Leaves [`Routed`] in the request when the method is known.
#[derive(Clone)]
pub(crate) struct LookUp(pub(crate) Arc<Routing>);

impl Gate for LookUp {
    fn pass(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        if let Some(route) = self.0.find(request.uri().path()) {
            request.extensions_mut().insert(Routed(route));
        }
        Ok(())
    }
}

/// The route that [`LookUp`] found.
pub(crate) fn of(request: &Request<Body>) -> Option<&Arc<Route>> {
    request.extensions().get::<Routed>().map(|routed| &routed.0)
}
