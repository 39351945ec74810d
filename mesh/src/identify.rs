//! The layer that asks the authenticator who calls. How it finds out is `identity/`'s business.

use std::sync::Arc;

use crate::layer::{Around, Next, Request, Response, refuse};
use crate::principal::Authenticator;

/// The layer.
pub struct Identify(Arc<dyn Authenticator>);

impl Identify {
    /// Asks `authenticator` once per call.
    #[must_use]
    pub fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self(authenticator)
    }
}

impl Around for Identify {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let (mut parts, body) = request.into_parts();
        match self.0.authenticate(&parts).await {
            Ok(principal) => {
                parts.extensions.insert(principal);
                next.run(Request::from_parts(parts, body)).await
            }
            Err(refusal) => refuse(refusal),
        }
    }
}
