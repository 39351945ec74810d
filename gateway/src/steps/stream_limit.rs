//! How many streams one caller may have open at once: they live for an hour, so that no rate bounds them.
//! Must not know what flows over them.

use caremesh_mesh::layer::{Around, Holding, Next, Request, Response};
use caremesh_mesh::principal::Principal;
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use std::time::Duration;
use tonic::body::Body;

use super::address::CallerAddress;
use super::route;
use crate::frame::Arity;
use crate::limits::{AddressKey, Seats};
use crate::refuse::answer_unread;

/// A caller with too many streams is told to come back after this: one of them has to end first.
const WAIT: Duration = Duration::from_secs(10);

/// Who holds streams: a caller, or for those without credentials their address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Caller(String),
    Address(AddressKey),
}

/// The limit of open streams.
pub(crate) struct StreamLimit(pub(crate) Seats<Holder>);

impl Around for StreamLimit {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let streams = route::of(request).is_some_and(|route| route.answers == Arity::Many);
        let Some(holder) = streams.then(|| holder(request)).flatten() else {
            return next.run(request).await;
        };
        match self.0.take(holder) {
            Some(seat) => next.run(request).await.map(|body| Body::new(Holding::new(body, seat))),
            None => answer_unread(
                std::mem::take(request.body_mut()),
                Refusal::new(CommonReason::Overloaded).metadata("limit", "streams").retry_after(WAIT),
            ),
        }
    }
}

fn holder(request: &Request) -> Option<Holder> {
    if let Some(principal) = request.extensions().get::<Principal>() {
        return Some(Holder::Caller(principal.caller_key()));
    }
    let CallerAddress(address) = request.extensions().get().copied()?;
    Some(Holder::Address(address.into()))
}
