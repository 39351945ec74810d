//! BranchService.

use caremesh_kernel::Timestamp;
use caremesh_mesh::{accept, wire};
use caremesh_proto::pharmacy::v1::branch_service_server::BranchService;
use caremesh_proto::pharmacy::v1::{
    CreateBranchRequest, CreateBranchResponse, GetBranchRequest, GetBranchResponse, ListBranchesRequest,
    ListBranchesResponse, RecordLicenceRequest, RecordLicenceResponse, RegisterPharmacistRequest,
    RegisterPharmacistResponse,
};
use tonic::{Request, Response, Status};

use super::convert::branch as convert;
use super::{Door, error};
use crate::app::{Once, branch};

impl Door {
    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }
}

#[tonic::async_trait]
impl BranchService for Door {
    async fn create_branch(
        &self,
        request: Request<CreateBranchRequest>,
    ) -> Result<Response<CreateBranchResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = branch::Create {
            organisation: wire::id("organisation_id", &request.organisation_id).map_err(error::violation)?,
            name: request.display_name.clone(),
            jurisdiction: request.jurisdiction_code.clone(),
            zone: request.time_zone.clone(),
            place: convert::point_of("location", request.location).map_err(error::violation)?,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |row| CreateBranchResponse { branch: Some(convert::branch(row, row.created)) },
        };
        let answer = branch::create(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_branch(
        &self,
        request: Request<GetBranchRequest>,
    ) -> Result<Response<GetBranchResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("branch_id", &request.branch_id).map_err(error::violation)?;
        let row =
            branch::get(&self.app, &context, id).await.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetBranchResponse { branch: Some(convert::branch(&row, self.now())) }))
    }

    async fn list_branches(
        &self,
        request: Request<ListBranchesRequest>,
    ) -> Result<Response<ListBranchesResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let found = branch::list(&self.app, &context, &request.jurisdiction_code, &page).await;
        let (rows, next) = found.map_err(|error| error::status(&context, error))?;
        let branches = rows.iter().map(|row| convert::branch(row, self.now())).collect();
        Ok(Response::new(ListBranchesResponse { branches, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn record_licence(
        &self,
        request: Request<RecordLicenceRequest>,
    ) -> Result<Response<RecordLicenceResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("branch_id", &request.branch_id).map_err(error::violation)?;
        let licence = convert::licence_of(request.licence.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |(row, now): &(_, _)| RecordLicenceResponse { branch: Some(convert::branch(row, *now)) },
        };
        let answer = branch::record_licence(&self.app, &context, once, id, licence).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn register_pharmacist(
        &self,
        request: Request<RegisterPharmacistRequest>,
    ) -> Result<Response<RegisterPharmacistResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = branch::Register {
            branch: wire::id("branch_id", &request.branch_id).map_err(error::violation)?,
            issuer: request.issuer.clone(),
            subject: request.subject.clone(),
            number: request.registration_number.clone(),
            valid: wire::date_range("valid", request.valid).map_err(error::violation)?,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |pharmacist| RegisterPharmacistResponse {
                pharmacist: Some(convert::pharmacist(pharmacist)),
            },
        };
        let answer = branch::register(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}
