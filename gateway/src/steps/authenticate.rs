//! Finds out who calls. Whether they may is decided by the serving service alone.
//! Must not know tokens: the mesh's authenticator reads them.

use std::sync::Arc;

use caremesh_mesh::layer::{Around, Next, Request, Response};
use caremesh_mesh::principal::{Authenticator, Credentials, Principal};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;

use super::route::Routed;
use crate::refuse::answer_unread;

/// Leaves the [`Principal`] in the request's extensions; refuses bad credentials always, and missing
/// ones unless the method is for anyone.
#[derive(Clone)]
pub(crate) struct Authenticate(pub(crate) Arc<dyn Authenticator>);

impl Around for Authenticate {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        match self.identify(request).await {
            Ok(()) => next.run(request).await,
            Err(refusal) => answer_unread(std::mem::take(request.body_mut()), refusal),
        }
    }
}

impl Authenticate {
    async fn identify(&self, request: &mut Request) -> Result<(), Refusal> {
        let principal = self.0.caller(Credentials::of(request)).await?;
        if is_known(&principal) {
            request.extensions_mut().insert(principal);
            return Ok(());
        }
        let anyone = request.extensions().get::<Routed>().is_some_and(|Routed(route)| route.anyone);
        if anyone { Ok(()) } else { Err(Refusal::new(CommonReason::CredentialsMissing)) }
    }
}

fn is_known(principal: &Principal) -> bool {
    principal.person().is_some() || principal.workload().is_some()
}
