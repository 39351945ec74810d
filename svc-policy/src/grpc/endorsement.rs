//! EndorsementService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::policy::v1::endorsement_service_server::EndorsementService;
use caremesh_proto::policy::v1::{
    ChangeBankAccountRequest, ChangeBankAccountResponse, ChangeNomineesRequest, ChangeNomineesResponse,
    ChangePlanRequest, ChangePlanResponse, ChangeSumInsuredRequest, ChangeSumInsuredResponse,
    GetPayeesRequest, GetPayeesResponse,
};
use tonic::{Request, Response, Status};

use super::convert::{endorsement as convert, policy as of_policy};
use super::{Door, error};
use crate::app::{Once, change_plan, change_sum_insured, parties};

#[tonic::async_trait]
impl EndorsementService for Door {
    async fn change_nominees(
        &self,
        request: Request<ChangeNomineesRequest>,
    ) -> Result<Response<ChangeNomineesResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::nominees(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| ChangeNomineesResponse { policy: Some(of_policy::policy(policy)) },
        };
        let answer = parties::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn change_bank_account(
        &self,
        request: Request<ChangeBankAccountRequest>,
    ) -> Result<Response<ChangeBankAccountResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::bank(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| ChangeBankAccountResponse { policy: Some(of_policy::policy(policy)) },
        };
        let answer = parties::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_payees(
        &self,
        request: Request<GetPayeesRequest>,
    ) -> Result<Response<GetPayeesResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("policy_id", &request.policy_id).map_err(error::violation)?;
        let as_of = wire::optional_timestamp("as_of", request.as_of).map_err(error::violation)?;
        let found = parties::get(&self.app, &context, id, as_of).await;
        let found = found.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(convert::payees(found)))
    }

    async fn change_plan(
        &self,
        request: Request<ChangePlanRequest>,
    ) -> Result<Response<ChangePlanResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::plan(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| ChangePlanResponse { policy: Some(of_policy::policy(policy)) },
        };
        let answer = change_plan::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn change_sum_insured(
        &self,
        request: Request<ChangeSumInsuredRequest>,
    ) -> Result<Response<ChangeSumInsuredResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::sum_insured(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| ChangeSumInsuredResponse { policy: Some(of_policy::policy(policy)) },
        };
        let answer = change_sum_insured::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}
