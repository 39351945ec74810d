//! What a refused request for a document is told: a status of HTTP, a reason and a sentence as JSON.
//! Must not decide anything.

use std::time::Duration;

use caremesh_mesh::refusal::Refusal;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;

use super::vault::VaultError;

/// Where an upload goes on, as in tus.
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// How long a document is in all, as in tus.
pub(super) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    text: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: &'static str, text: &'static str) -> Self {
        Self { status, reason, text, headers: Vec::new() }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn ticket(text: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "TICKET_INVALID", text)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_UNKNOWN", "The ticket does not allow this method.")
    }

    pub(super) fn field(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "FIELD_INVALID", text)
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let text = "Too many requests; come back after the time in retry-after.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "OVERLOADED", text);
        problem.header(RETRY_AFTER, wait.as_secs() + 1)
    }

    pub(super) fn elsewhere(offset: u64) -> Self {
        let text = "The upload goes on at another offset, or somebody else is sending it.";
        Self::new(StatusCode::CONFLICT, "UPLOAD_OFFSET_WRONG", text).header(UPLOAD_OFFSET, offset)
    }

    /// The refusal of a step that gRPC calls pass as well.
    pub(super) fn of(refusal: &Refusal) -> Self {
        let status = match Status::from(refusal.clone()).code() {
            tonic::Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            tonic::Code::PermissionDenied => StatusCode::FORBIDDEN,
            tonic::Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.reason(), "The caller could not be admitted.")
    }

    /// Gives the answer.
    pub(super) fn answer(self) -> Response<Body> {
        let text = format!("{{\"reason\":\"{}\",\"message\":\"{}\"}}\n", self.reason, self.text);
        let mut response = Response::new(Body::new(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(self.headers);
        response
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        tracing::error!(%error, "Documents cannot be stored or read.");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "DEPENDENCY_DOWN", "Documents cannot be reached now.")
    }
}
