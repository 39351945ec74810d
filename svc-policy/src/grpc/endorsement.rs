//! EndorsementService.

use caremesh_mesh::accept;
use caremesh_proto::policy::v1::endorsement_service_server::EndorsementService;
use caremesh_proto::policy::v1::{ChangeSumInsuredRequest, ChangeSumInsuredResponse};
use tonic::{Request, Response, Status};

use super::convert::{endorsement as convert, policy as of_policy};
use super::{Door, error};
use crate::app::{Once, change_sum_insured};

#[tonic::async_trait]
impl EndorsementService for Door {
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
