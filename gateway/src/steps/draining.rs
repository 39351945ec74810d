//! Tells the streams that are open that the gateway is stopping: one that waits for news never ends by itself, and its
//! client must hear a status, on which it resumes elsewhere, and not a broken connection. Must not know what flows.

use std::time::Duration;

use caremesh_mesh::draining::until_told;
use caremesh_mesh::layer::{Around, Next, Request, Response};
use tokio_util::sync::CancellationToken;

use super::route;
use crate::frame::Arity;

/// The end of streams.
pub(crate) struct EndStreams {
    /// Cancelled when the door closes.
    pub(crate) stop: CancellationToken,
    /// Streams with an end of their own may reach it.
    pub(crate) grace: Duration,
}

impl Around for EndStreams {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        let streams = route::of(request).is_some_and(|route| route.answers == Arity::Many);
        let response = next.run(request).await;
        if !streams {
            return response;
        }
        let (stop, grace) = (self.stop.clone(), self.grace);
        until_told(response, async move {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        })
    }
}
