//! AuditService.

use caremesh_db::audit::Access;
use caremesh_mesh::wire::ToWire as _;
use caremesh_mesh::{accept, wire};
use caremesh_proto::options::v1::Purpose;
use caremesh_proto::pharmacy::v1::audit_service_server::AuditService;
use caremesh_proto::pharmacy::v1::{self as contract, AuditAction, ListAccessRequest, ListAccessResponse};
use tonic::{Request, Response, Status};

use super::{Door, error};
use crate::app::list_access;

#[tonic::async_trait]
impl AuditService for Door {
    async fn list_access(
        &self,
        request: Request<ListAccessRequest>,
    ) -> Result<Response<ListAccessResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let person = wire::id("person_id", &request.person_id).map_err(error::violation)?;
        let found = list_access::run(&self.app, &context, person, &page).await;
        let (accesses, next) = found.map_err(|error| error::status(&context, error))?;
        let accesses = accesses.iter().map(access).collect();
        Ok(Response::new(ListAccessResponse { accesses, page: Some(self.next(&paging, next.as_ref())?) }))
    }
}

fn access(access: &Access) -> contract::Access {
    let action = match access.action.as_str() {
        "created" => AuditAction::Create,
        "read" => AuditAction::Read,
        "changed" => AuditAction::Update,
        "removed" => AuditAction::Delete,
        _ => AuditAction::Execute,
    };
    contract::Access {
        audit_event_id: access.id.clone(),
        access_time: Some(access.at.to_wire()),
        actor: access.actor.clone(),
        on_behalf_of: access.on_behalf_of.clone(),
        method: access.method.clone(),
        action: action.into(),
        resource_id: access.resource.clone(),
        purpose: Purpose::from_str_name(&access.purpose).unwrap_or_default().into(),
        outcome: access.outcome.clone(),
        call_id: access.call_id.clone(),
    }
}
