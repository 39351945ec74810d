//! EligibilityService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::policy::v1::eligibility_service_server::EligibilityService;
use caremesh_proto::policy::v1::{
    CheckEligibilityRequest, CheckEligibilityResponse, GetCoverRequest, GetCoverResponse,
};
use tonic::{Request, Response, Status};

use super::convert::cover as convert;
use super::{Door, error};
use crate::app::{check_eligibility, get_cover};

#[tonic::async_trait]
impl EligibilityService for Door {
    async fn check_eligibility(
        &self,
        request: Request<CheckEligibilityRequest>,
    ) -> Result<Response<CheckEligibilityResponse>, Status> {
        let (context, request) = accept(request)?;
        let member = wire::id("member_id", &request.member_id).map_err(error::violation)?;
        let question = convert::question(request).map_err(error::violation)?;
        let answer = check_eligibility::run(&self.app, &context, member, &question).await;
        let answer = answer.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(CheckEligibilityResponse { eligibility: Some(convert::eligibility(&answer)) }))
    }

    async fn get_cover(
        &self,
        request: Request<GetCoverRequest>,
    ) -> Result<Response<GetCoverResponse>, Status> {
        let (context, request) = accept(request)?;
        let member = wire::id("member_id", &request.member_id).map_err(error::violation)?;
        let day = wire::optional_date("service_date", request.service_date).map_err(error::violation)?;
        let view = get_cover::run(&self.app, &context, member, day).await;
        let view = view.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetCoverResponse { cover: Some(convert::cover(request.member_id, &view)) }))
    }
}
