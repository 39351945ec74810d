//! FeedService.

use caremesh_db::feed::FeedEvent;
use caremesh_mesh::accept;
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::pharmacy::v1::feed_service_server::FeedService;
use caremesh_proto::pharmacy::v1::{Event, ListEventsRequest, ListEventsResponse};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{Door, error};
use crate::app::list_events;

#[tonic::async_trait]
impl FeedService for Door {
    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let (context, request) = accept(request)?;
        let limit = u32::try_from(request.limit).unwrap_or_default();
        let events = list_events::run(&self.app, &context, &request.cursor, limit).await;
        let events = events.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(ListEventsResponse { events: events.iter().map(event).collect() }))
    }
}

/// The stored message says what happened to what; when, where in the feed and under which trace is the row's.
fn event(row: &FeedEvent) -> Event {
    Event {
        event_id: row.id.to_string(),
        key: row.ordering_key.clone(),
        create_time: Some(row.at.to_wire()),
        traceparent: row.trace_parent.clone().unwrap_or_default(),
        cursor: row.position.to_string(),
        ..Event::decode(row.payload.as_slice()).unwrap_or_default()
    }
}
