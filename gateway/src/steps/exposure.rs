//! Which methods can be reached from outside. An unknown method and one that is for services only
//! get the same answer: what is inside is not for outsiders to know.

use std::sync::Arc;

use caremesh_mesh::policy::Role;
use caremesh_mesh::principal::Principal;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http::Request;
use tonic::body::Body;

use super::gate::Gate;
use super::route;
use crate::routing::{Route, Routing};

/// Lets exposed methods pass.
#[derive(Clone)]
pub(crate) struct Exposed(pub(crate) Arc<Routing>);

impl Gate for Exposed {
    fn pass(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        match route::of(request) {
            Some(route) if route.exposed && may_look(route, request) => Ok(()),
            Some(route) if route.exposed => Err(Refusal::new(CommonReason::RoleMissing)),
            // It may be a method of an upstream that has not been reached yet.
            None if !self.0.table().complete => Err(Refusal::new(CommonReason::DependencyDown)),
            _ => Err(Refusal::new(CommonReason::MethodUnknown)),
        }
    }
}

fn may_look(route: &Route, request: &Request<Body>) -> bool {
    let caller = request.extensions().get::<Principal>();
    !route.operators_only || caller.is_some_and(|it| it.has_role(Role::Operator))
}
