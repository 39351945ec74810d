//! Gives each try what is left of the call's deadline, less a margin, and answers DEADLINE_EXCEEDED when
//! that is over, over the answer's head and its whole body.

use std::time::Duration;

use tonic::body::Body;

use crate::{
    deadline::{Deadline, GRPC_TIMEOUT, TimedBody},
    layer::{Around, Next, Request, Response, refuse},
    reason::CommonReason,
    refusal::Refusal,
};

/// The layer.
#[derive(Debug)]
pub(super) struct GiveDeadline {
    margin: Duration,
}

impl GiveDeadline {
    pub(super) fn new(margin: Duration) -> Self {
        Self { margin }
    }
}

impl Around for GiveDeadline {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let given = request.extensions().get::<Deadline>().copied();
        let header = given.and_then(|deadline| deadline.to_header(self.margin));
        let (Some(given), Some(header)) = (given, header) else {
            return refuse(Refusal::new(CommonReason::Deadline));
        };
        request.headers_mut().insert(GRPC_TIMEOUT, header);
        let ours = Deadline::after(given.remaining().saturating_sub(self.margin));
        // Further in, what counts is the time of this try.
        request.extensions_mut().insert(ours);
        match tokio::time::timeout_at(ours.instant(), next.run(request)).await {
            Ok(response) => response.map(|body| Body::new(TimedBody::new(body, ours))),
            Err(_) => refuse(Refusal::new(CommonReason::Deadline)),
        }
    }
}
