//! Opens a call: finds its method in the contract and notes when it arrived. Just inside trace and
//! metrics, because every layer further in asks for one of the two. It refuses nothing.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::layer::{Around, Next, Request, Response};
use crate::policy::{ContractPolicy, MethodPolicy};
use crate::telemetry::CallId;

/// Response header with the id of the call, by which a caller's report leads to the log.
pub const CALL_ID: HeaderName = HeaderName::from_static("x-caremesh-call-id");

/// What is known of a call from its first moment; in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Id of the call in logs and audit; the same at every hop.
    pub id: CallId,
    /// The method's policy; None when the contract has no such method.
    pub method: Option<Arc<MethodPolicy>>,
    /// When it arrived: deadlines count from here, time in the queue included.
    pub arrived: Instant,
}

impl Call {
    /// The call that a request belongs to. Only a request that skipped [`Opening`] has none.
    #[must_use]
    pub fn of(request: &Request) -> Option<&Self> {
        request.extensions().get()
    }

    /// The policy of the request's method, if the contract knows it.
    #[must_use]
    pub fn method_of(request: &Request) -> Option<Arc<MethodPolicy>> {
        Self::of(request)?.method.clone()
    }
}

/// The layer.
#[derive(Debug)]
pub struct Opening {
    contract: Arc<ContractPolicy>,
}

impl Opening {
    /// Opens calls to the methods of `contract`.
    #[must_use]
    pub fn new(contract: Arc<ContractPolicy>) -> Self {
        Self { contract }
    }
}

impl Around for Opening {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let Some(id) = request.extensions().get::<CallId>().cloned() else {
            // The trace layer is missing; every layer further in refuses a call that was not opened.
            return next.run(request).await;
        };
        let call = Call {
            id: id.clone(),
            method: self.contract.method(request.uri().path()).cloned(),
            arrived: Instant::now(),
        };
        request.extensions_mut().insert(call);
        let mut response = next.run(request).await;
        if let Ok(mut value) = HeaderValue::from_str(id.as_str()) {
            // Not a secret, but never seen twice: "sensitive" keeps it out of HPACK's table.
            value.set_sensitive(true);
            response.headers_mut().insert(CALL_ID, value);
        }
        response
    }
}
