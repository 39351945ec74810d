//! How long a call may take: what the caller allows, at most what the contract allows. Covers the
//! whole answer, streams included. Must not know what takes the time.

use std::time::Duration;

use caremesh_mesh::deadline::{Deadline, GRPC_TIMEOUT, TimedBody, of_caller};
use caremesh_mesh::layer::{Around, Next, Request, Response, refuse};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use tokio::time::Instant;
use tonic::body::Body;

use super::route;
use crate::refuse::answer_unread;

/// Sets the [`Deadline`] of each call and answers DEADLINE when it has passed. The mesh's own layer
/// reads the limit from the compiled contract; here it comes from the route that was learned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For a method that is not known; it will be refused, but perhaps not at once.
    pub(crate) unknown: Duration,
}

impl Around for Deadlines {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let deadline = match self.due(request) {
            Ok(deadline) => deadline,
            Err(refusal) => return answer_unread(std::mem::take(request.body_mut()), refusal),
        };
        request.extensions_mut().insert(deadline);
        match tokio::time::timeout_at(deadline.instant(), next.run(request)).await {
            Ok(response) => response.map(|body| Body::new(TimedBody::new(body, deadline))),
            Err(_elapsed) => refuse(Refusal::new(CommonReason::Deadline)),
        }
    }
}

impl Deadlines {
    fn due(&self, request: &Request) -> Result<Deadline, Refusal> {
        let now = Instant::now();
        let limit = route::of(request).map_or(self.unknown, |route| route.deadline);
        let limit = Deadline::from(now, limit);
        let caller = of_caller(request.headers(), now).map_err(|malformed| {
            let refusal = Refusal::new(CommonReason::FieldInvalid);
            refusal.field_explained(GRPC_TIMEOUT, "grpc_timeout.form", malformed.to_string())
        })?;
        Ok(caller.map_or(limit, |caller| caller.at_most(limit)))
    }
}
