//! UnderwritingService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::policy::v1::underwriting_service_server::UnderwritingService;
use caremesh_proto::policy::v1::{
    AnswerUnderwriterRequest, AnswerUnderwriterResponse, AskProposerRequest, AskProposerResponse,
    ClaimProposalRequest, ClaimProposalResponse, DecideProposalRequest, DecideProposalResponse,
    GetProposalRequest, GetProposalResponse, ListProposalsRequest, ListProposalsResponse,
    ReplyToTermsRequest, ReplyToTermsResponse, SubmitProposalRequest, SubmitProposalResponse,
};
use tonic::{Request, Response, Status};

use super::convert::underwriting as convert;
use super::{Door, error};
use crate::app::underwrite::Act;
use crate::app::{Once, proposal, underwrite};

#[tonic::async_trait]
impl UnderwritingService for Door {
    async fn submit_proposal(
        &self,
        request: Request<SubmitProposalRequest>,
    ) -> Result<Response<SubmitProposalResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("quote_id", &request.quote_id).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| SubmitProposalResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::submit(&self.app, &context, once, id).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_proposal(
        &self,
        request: Request<GetProposalRequest>,
    ) -> Result<Response<GetProposalResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let found = proposal::get(&self.app, &context, id).await;
        let found = found.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetProposalResponse { proposal: Some(convert::proposal(&found)) }))
    }

    async fn list_proposals(
        &self,
        request: Request<ListProposalsRequest>,
    ) -> Result<Response<ListProposalsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let state = convert::state_of(request.in_state()).map_err(error::violation)?;
        let found = proposal::list(&self.app, &context, state, &page).await;
        let (proposals, next) = found.map_err(|error| error::status(&context, error))?;
        let proposals = proposals.iter().map(convert::proposal).collect();
        Ok(Response::new(ListProposalsResponse { proposals, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn claim_proposal(
        &self,
        request: Request<ClaimProposalRequest>,
    ) -> Result<Response<ClaimProposalResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let act = Act::Claim;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| ClaimProposalResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::act(&self.app, &context, once, id, act).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn ask_proposer(
        &self,
        request: Request<AskProposerRequest>,
    ) -> Result<Response<AskProposerResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let act = Act::Ask(request.text.clone());
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| AskProposerResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::act(&self.app, &context, once, id, act).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn answer_underwriter(
        &self,
        request: Request<AnswerUnderwriterRequest>,
    ) -> Result<Response<AnswerUnderwriterResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let act = Act::Answer(request.text.clone());
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| AnswerUnderwriterResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::act(&self.app, &context, once, id, act).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn decide_proposal(
        &self,
        request: Request<DecideProposalRequest>,
    ) -> Result<Response<DecideProposalResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let act = convert::decision(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| DecideProposalResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::act(&self.app, &context, once, id, act).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn reply_to_terms(
        &self,
        request: Request<ReplyToTermsRequest>,
    ) -> Result<Response<ReplyToTermsResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("proposal_id", &request.proposal_id).map_err(error::violation)?;
        let act = Act::Reply(request.agrees);
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |proposal| ReplyToTermsResponse { proposal: Some(convert::proposal(proposal)) },
        };
        let answer = underwrite::act(&self.app, &context, once, id, act).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}
