//! Writes the context of a call into the headers of a call it makes. Sends a person's token on to the
//! next hop and nowhere else; names a person only as data when there is no token.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::{
    context::CallContext,
    deadline::Deadline,
    identity::metadata,
    layer::{Around, Next, Request, Response, refuse},
    policy::{ContractPolicy, MethodPolicy},
    reason::CommonReason,
    refusal::Refusal,
    telemetry::{CallId, set_call_id, set_trace_parent},
};

/// The layer.
#[derive(Debug)]
pub(super) struct Outgoing {
    contract: Arc<ContractPolicy>,
}

impl Outgoing {
    pub(super) fn new(contract: Arc<ContractPolicy>) -> Self {
        Self { contract }
    }

    /// Finds the method, its deadline, and puts both where the layers further in look for them.
    fn prepare(&self, request: &mut Request) -> Result<(), Refusal> {
        let method = self.contract.method(request.uri().path()).cloned();
        let method = method.ok_or_else(|| Refusal::new(CommonReason::MethodUnknown))?;
        let context = request.extensions().get::<CallContext>().cloned();
        let deadline = due(&method, context.as_ref(), request.headers())?;
        if let Some(context) = &context {
            write_context(context, request.headers_mut());
        }
        request.extensions_mut().insert(method);
        request.extensions_mut().insert(deadline);
        Ok(())
    }
}

impl Around for Outgoing {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        match self.prepare(request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refuse(refusal),
        }
    }
}

/// The earliest of what the contract allows, what is left to the calling call, and what was said for
/// this call alone (`Request::set_timeout`).
fn due(
    method: &MethodPolicy,
    context: Option<&CallContext>,
    headers: &HeaderMap,
) -> Result<Deadline, Refusal> {
    let contract = Deadline::after(method.deadline);
    let own = crate::deadline::of_caller(headers, Instant::now())
        .map_err(|_| Refusal::new(CommonReason::FieldInvalid).field("grpc-timeout", "grpc_timeout.form"))?;
    let limits = [context.map(CallContext::deadline), own];
    Ok(limits.into_iter().flatten().fold(contract, Deadline::at_most))
}

fn write_context(context: &CallContext, headers: &mut HeaderMap) {
    if let Some(token) = context.principal().person().and_then(|person| person.token.as_ref()) {
        set_token(headers, token.expose_secret());
    } else if let Some(person) = context.on_behalf_of() {
        metadata::set_id(headers, metadata::ON_BEHALF_OF, &person);
    }
    if let Some(call_id) = CallId::parse(context.call_id()) {
        set_call_id(headers, &call_id);
    }
    if let Some(trace_parent) = context.trace_parent() {
        // The trace layer replaces it by its own span; it counts only where no span is.
        set_trace_parent(headers, &trace_parent);
    }
    metadata::set_purpose(headers, context.purpose());
    if let Some(episode) = context.episode_id() {
        metadata::set_id(headers, metadata::EPISODE, &episode);
    }
}

fn set_token(headers: &mut HeaderMap, token: &str) {
    if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}")) {
        // Keeps it out of Debug output and out of HPACK's tables.
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}
