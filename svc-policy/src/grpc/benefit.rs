//! BenefitService.

use caremesh_mesh::accept;
use caremesh_proto::policy::v1::benefit_service_server::BenefitService;
use caremesh_proto::policy::v1::{
    ListBalancesRequest, ListBalancesResponse, ListPostingsRequest, ListPostingsResponse, PostRequest,
    PostResponse, PriceRequest, PriceResponse,
};
use tonic::{Request, Response, Status};

use super::convert::{benefit as convert, price as price_convert};
use super::{Door, error};
use crate::app::{Once, list_balances, list_postings, post, price};

#[tonic::async_trait]
impl BenefitService for Door {
    async fn price(&self, request: Request<PriceRequest>) -> Result<Response<PriceResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = price_convert::input(request).map_err(error::violation)?;
        let price =
            price::run(&self.app, &context, &input).await.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(PriceResponse { price: price.as_ref().map(price_convert::price) }))
    }

    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = convert::post_input(request.clone(), self.app.ids.as_ref()).map_err(error::violation)?;
        let once = Once { request_id: request.request_id.clone(), request, render: convert::post_response };
        let answer = post::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn list_balances(
        &self,
        request: Request<ListBalancesRequest>,
    ) -> Result<Response<ListBalancesResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let input = convert::balances_input(&request).map_err(error::violation)?;
        let found = list_balances::run(&self.app, &context, &input, &page).await;
        let (accounts, day, next) = found.map_err(|error| error::status(&context, error))?;
        let balances = accounts.iter().map(|account| convert::account_balance(account, Some(day))).collect();
        Ok(Response::new(ListBalancesResponse { balances, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn list_postings(
        &self,
        request: Request<ListPostingsRequest>,
    ) -> Result<Response<ListPostingsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let input = convert::postings_input(&request).map_err(error::violation)?;
        let found = list_postings::run(&self.app, &context, &input, &page).await;
        let (postings, next) = found.map_err(|error| error::status(&context, error))?;
        let postings = postings.iter().map(convert::posting).collect();
        Ok(Response::new(ListPostingsResponse { postings, page: Some(self.next(&paging, next.as_ref())?) }))
    }
}
