//! Finds out who calls. Whether they may is decided by the serving service alone.
//! Must not know tokens: the mesh's authenticator reads them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use caremesh_mesh::principal::{Authenticator, Principal};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::route::Routed;
use crate::refuse::{answer_unread, refusal};

/// Leaves the [`Principal`] in the request's extensions; refuses bad credentials always, and missing
/// ones unless the method is for anyone.
#[derive(Clone)]
pub(crate) struct Authenticate(pub(crate) Arc<dyn Authenticator>);

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated { authenticator: self.0.clone(), inner }
    }
}

/// The service behind [`Authenticate`].
#[derive(Clone)]
pub(crate) struct Authenticated<S> {
    authenticator: Arc<dyn Authenticator>,
    inner: S,
}

impl<S> Service<Request<Body>> for Authenticated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let authenticator = self.authenticator.clone();
        // The clone that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match identify(&*authenticator, &mut parts).await {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(refusal) => Ok(answer_unread(body, refusal)),
            }
        })
    }
}

async fn identify(authenticator: &dyn Authenticator, parts: &mut Parts) -> Result<(), Refusal> {
    let principal = authenticator.authenticate(parts).await?;
    if is_known(&principal) {
        parts.extensions.insert(principal);
        return Ok(());
    }
    let anyone = parts.extensions.get::<Routed>().is_some_and(|Routed(route)| route.anyone);
    if anyone { Ok(()) } else { Err(refusal(CommonReason::CredentialsMissing)) }
}

fn is_known(principal: &Principal) -> bool {
    principal.person().is_some() || principal.workload().is_some()
}
