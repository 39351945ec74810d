//! The services of the contract over tonic: accept → use case → render, one file per service. The only place in this
//! service that makes a Status, and it decides nothing.

mod audit;
mod branch;
mod catalogue;
mod catalogue_convert;
mod convert;
mod error;
mod feed;
mod order;
mod prescription;
mod safety;
mod stock;

use std::sync::Arc;

use caremesh_mesh::CallContext;
use caremesh_mesh::page::{Binding, Page, PageTokens};
use caremesh_mesh::server::ServerBuilder;
use caremesh_proto::pharmacy::v1::audit_service_server::AuditServiceServer;
use caremesh_proto::pharmacy::v1::branch_service_server::BranchServiceServer;
use caremesh_proto::pharmacy::v1::catalog_service_server::CatalogServiceServer;
use caremesh_proto::pharmacy::v1::feed_service_server::FeedServiceServer;
use caremesh_proto::pharmacy::v1::order_service_server::OrderServiceServer;
use caremesh_proto::pharmacy::v1::prescription_service_server::PrescriptionServiceServer;
use caremesh_proto::pharmacy::v1::safety_service_server::SafetyServiceServer;
use caremesh_proto::pharmacy::v1::stock_service_server::StockServiceServer;
use caremesh_proto::r#type::v1::{PageInfo, PageRequest};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::app::App;

/// What every service of this transport holds. A cheap clone.
#[derive(Clone)]
struct Door {
    app: App,
    pages: Arc<PageTokens>,
}

/// Adds every service of svc-pharmacy to a server. Messages of more than `max_message_bytes` are refused.
pub(crate) fn add_to(
    server: ServerBuilder,
    app: App,
    pages: Arc<PageTokens>,
    max_message_bytes: usize,
) -> ServerBuilder {
    let door = Door { app, pages };
    let most = max_message_bytes;
    server
        .add(BranchServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(PrescriptionServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(SafetyServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(StockServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(CatalogServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(OrderServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(FeedServiceServer::new(door.clone()).max_decoding_message_size(most))
        .add(AuditServiceServer::new(door).max_decoding_message_size(most))
}

/// A page of a list: bound to the caller, the method and the request without its page.
struct Paging {
    binding: Binding,
}

impl Door {
    fn page<C: DeserializeOwned>(
        &self,
        context: &CallContext,
        parameters: &impl Message,
        page: Option<&PageRequest>,
    ) -> Result<(Paging, Page<C>), Status> {
        let binding = Binding::of(context, parameters);
        let page = self.pages.open(&binding, page)?;
        Ok((Paging { binding }, page))
    }

    fn next<C: Serialize>(&self, paging: &Paging, cursor: Option<&C>) -> Result<PageInfo, Status> {
        Ok(self.pages.next(&paging.binding, cursor)?)
    }
}
