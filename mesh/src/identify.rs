//! The layer that asks the authenticator who calls. How it finds out is `identity/`'s business.

use std::sync::Arc;

use crate::layer::{Around, Next, Request, Response, refuse};
use crate::principal::{Authenticator, Credentials};

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
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        match self.0.caller(Credentials::of(request)).await {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                next.run(request).await
            }
            Err(refusal) => refuse(refusal),
        }
    }
}
