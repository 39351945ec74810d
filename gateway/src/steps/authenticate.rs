//! Finds out who calls. Whether they may is decided by the serving service alone.
//! Must not know tokens: the mesh's authenticator reads them.

use std::sync::Arc;

use caremesh_mesh::layer::{Around, Next, Request, Response};
use caremesh_mesh::principal::{Authenticator, Principal};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use http::request::Parts;

use super::route::Routed;
use crate::refuse::answer_unread;

/// Leaves the [`Principal`] in the request's extensions; refuses bad credentials always, and missing
/// ones unless the method is for anyone.
#[derive(Clone)]
pub(crate) struct Authenticate(pub(crate) Arc<dyn Authenticator>);

impl Around for Authenticate {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let (mut parts, body) = request.into_parts();
        match self.identify(&mut parts).await {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
            Err(refusal) => answer_unread(body, refusal),
        }
    }
}

impl Authenticate {
    async fn identify(&self, parts: &mut Parts) -> Result<(), Refusal> {
        let principal = self.0.authenticate(parts).await?;
        if is_known(&principal) {
            parts.extensions.insert(principal);
            return Ok(());
        }
        let anyone = parts.extensions.get::<Routed>().is_some_and(|Routed(route)| route.anyone);
        if anyone { Ok(()) } else { Err(Refusal::new(CommonReason::CredentialsMissing)) }
    }
}

fn is_known(principal: &Principal) -> bool {
    principal.person().is_some() || principal.workload().is_some()
}
