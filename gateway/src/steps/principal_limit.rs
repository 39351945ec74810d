//! How often one caller may call, from however many addresses.
//! Must not know what a caller is: `Principal::caller_key` says it.

use std::sync::Arc;

use caremesh_mesh::principal::Principal;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http::Request;
use tonic::body::Body;

use super::gate::Gate;
use crate::limits::KeyedLimit;

/// The limit per principal. Callers without credentials are counted by address only.
#[derive(Clone)]
pub(crate) struct PrincipalLimit(pub(crate) Arc<KeyedLimit<String>>);

impl Gate for PrincipalLimit {
    fn pass(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        let Some(principal) = request.extensions().get::<Principal>() else { return Ok(()) };
        self.0.check(&principal.caller_key()).map_err(|wait| {
            Refusal::new(CommonReason::Overloaded).metadata("limit", "caller").retry_after(wait)
        })
    }
}
