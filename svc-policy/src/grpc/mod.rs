//! The services of the contract over tonic: accept → use case → render, one file per service. The only place in this
//! service that makes a Status, and it decides nothing.

mod audit;
mod benefit;
mod convert;
mod eligibility;
mod endorsement;
mod error;
mod feed;
mod person;
mod plan;
mod policy;
mod underwriting;

use std::sync::Arc;

use caremesh_mesh::page::{Binding, Page, PageTokens};
use caremesh_mesh::server::ServerBuilder;
use caremesh_mesh::{CallContext, offer};
use caremesh_proto::policy::v1::audit_service_server::AuditServiceServer;
use caremesh_proto::policy::v1::benefit_service_server::BenefitServiceServer;
use caremesh_proto::policy::v1::eligibility_service_server::EligibilityServiceServer;
use caremesh_proto::policy::v1::endorsement_service_server::EndorsementServiceServer;
use caremesh_proto::policy::v1::feed_service_server::FeedServiceServer;
use caremesh_proto::policy::v1::person_service_server::PersonServiceServer;
use caremesh_proto::policy::v1::plan_service_server::PlanServiceServer;
use caremesh_proto::policy::v1::policy_service_server::PolicyServiceServer;
use caremesh_proto::policy::v1::underwriting_service_server::UnderwritingServiceServer;
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

/// Adds every service of svc-policy to a server. Messages of more than `max_message_bytes` are refused.
pub(crate) fn add_to(
    server: ServerBuilder,
    app: App,
    pages: Arc<PageTokens>,
    max_message_bytes: usize,
) -> ServerBuilder {
    let door = Door { app, pages };
    let most = max_message_bytes;
    server
        .add(offer!(PlanServiceServer, door.clone(), most))
        .add(offer!(PersonServiceServer, door.clone(), most))
        .add(offer!(PolicyServiceServer, door.clone(), most))
        .add(offer!(EndorsementServiceServer, door.clone(), most))
        .add(offer!(EligibilityServiceServer, door.clone(), most))
        .add(offer!(UnderwritingServiceServer, door.clone(), most))
        .add(offer!(BenefitServiceServer, door.clone(), most))
        .add(offer!(FeedServiceServer, door.clone(), most))
        .add(offer!(AuditServiceServer, door, most))
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
