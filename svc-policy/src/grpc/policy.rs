//! PolicyService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::policy::v1::policy_service_server::PolicyService;
use caremesh_proto::policy::v1::{
    AddMemberRequest, AddMemberResponse, CancelPolicyRequest, CancelPolicyResponse, CreateQuoteRequest,
    CreateQuoteResponse, GetPolicyRequest, GetPolicyResponse, GetQuoteRequest, GetQuoteResponse,
    ListPoliciesRequest, ListPoliciesResponse, PurchasePolicyRequest, PurchasePolicyResponse,
    RecordPremiumPaymentRequest, RecordPremiumPaymentResponse, RemoveMemberRequest, RemoveMemberResponse,
    RenewPolicyRequest, RenewPolicyResponse,
};
use tonic::{Request, Response, Status};

use super::convert::policy as convert;
use super::{Door, error};
use crate::app::{
    Once, add_member, cancel_policy, create_quote, get_policy, get_quote, list_policies, purchase_policy,
    record_premium_payment, remove_member, renew_policy,
};

#[tonic::async_trait]
impl PolicyService for Door {
    async fn create_quote(
        &self,
        request: Request<CreateQuoteRequest>,
    ) -> Result<Response<CreateQuoteResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::quote_input(request.clone()).map_err(error::violation)?;
        if request.validate_only {
            let quote = create_quote::validate(&self.app, &context, &input).await;
            let quote = quote.map_err(|error| error::status(&context, error))?;
            let quote = Some(convert::quote(&quote, quote.created, false));
            return Ok(Response::new(CreateQuoteResponse { quote }));
        }
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |quote| CreateQuoteResponse { quote: Some(convert::quote(quote, quote.created, true)) },
        };
        let answer = create_quote::run(&self.app, &context, once, &input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_quote(
        &self,
        request: Request<GetQuoteRequest>,
    ) -> Result<Response<GetQuoteResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("quote_id", &request.quote_id).map_err(error::violation)?;
        let found = get_quote::run(&self.app, &context, id).await;
        let (quote, now) = found.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetQuoteResponse { quote: Some(convert::quote(&quote, now, true)) }))
    }

    async fn purchase_policy(
        &self,
        request: Request<PurchasePolicyRequest>,
    ) -> Result<Response<PurchasePolicyResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("quote_id", &request.quote_id).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| PurchasePolicyResponse { policy: Some(convert::policy(policy)) },
        };
        let answer = purchase_policy::run(&self.app, &context, once, id).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn record_premium_payment(
        &self,
        request: Request<RecordPremiumPaymentRequest>,
    ) -> Result<Response<RecordPremiumPaymentResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::payment_input(request.clone()).map_err(error::violation)?;
        let once = Once { request_id: request.request_id.clone(), request, render: convert::booked };
        let answer = record_premium_payment::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("policy_id", &request.policy_id).map_err(error::violation)?;
        let as_of = wire::optional_timestamp("as_of", request.as_of).map_err(error::violation)?;
        let policy = get_policy::run(&self.app, &context, id, as_of).await;
        let policy = policy.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetPolicyResponse { policy: Some(convert::policy(&policy)) }))
    }

    async fn cancel_policy(
        &self,
        request: Request<CancelPolicyRequest>,
    ) -> Result<Response<CancelPolicyResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::cancellation(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| CancelPolicyResponse { policy: Some(convert::policy(policy)) },
        };
        let answer = cancel_policy::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn add_member(
        &self,
        request: Request<AddMemberRequest>,
    ) -> Result<Response<AddMemberResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::addition(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| AddMemberResponse { policy: Some(convert::policy(policy)) },
        };
        let answer = add_member::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::removal(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |policy| RemoveMemberResponse { policy: Some(convert::policy(policy)) },
        };
        let answer = remove_member::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn renew_policy(
        &self,
        request: Request<RenewPolicyRequest>,
    ) -> Result<Response<RenewPolicyResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::renewal(request.clone()).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |quote| RenewPolicyResponse { quote: Some(convert::quote(quote, quote.created, true)) },
        };
        let answer = renew_policy::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let person = wire::optional_id("person_id", &request.person_id).map_err(error::violation)?;
        let found = list_policies::run(&self.app, &context, person, &page).await;
        let (policies, next) = found.map_err(|error| error::status(&context, error))?;
        let policies = policies.iter().map(convert::policy).collect();
        Ok(Response::new(ListPoliciesResponse { policies, page: Some(self.next(&paging, next.as_ref())?) }))
    }
}
