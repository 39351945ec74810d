//! OrderService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::pharmacy::v1::order_service_server::OrderService;
use caremesh_proto::pharmacy::v1::*;
use futures::stream::BoxStream;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::convert::order as convert;
use super::{Door, error};
use crate::app::{Once, order};

/// Renders the order of a changing call.
macro_rules! once {
    ($request:expr, $response:ident) => {
        Once {
            request_id: $request.request_id.clone(),
            request: $request,
            render: |shown| $response { order: Some(convert::order(shown)) },
        }
    };
}

#[tonic::async_trait]
impl OrderService for Door {
    type WatchOrderStream = BoxStream<'static, Result<WatchOrderResponse, Status>>;

    async fn quote_order(
        &self,
        request: Request<QuoteOrderRequest>,
    ) -> Result<Response<QuoteOrderResponse>, Status> {
        let (context, request) = accept(request)?;
        let patient = wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?;
        let branch = wire::id("branch_id", &request.branch_id).map_err(error::violation)?;
        let items = convert::items(&request.items).map_err(error::violation)?;
        let quoted = order::quote(&self.app, &context, patient, branch, &items).await;
        let quoted = quoted.map_err(|error| error::status(&context, error))?;
        let quote = Some(convert::quote(&quoted, self.app.clock.now()));
        Ok(Response::new(QuoteOrderResponse { quote }))
    }

    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<PlaceOrderResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = order::Place {
            patient: wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?,
            branch: wire::id("branch_id", &request.branch_id).map_err(error::violation)?,
            items: convert::items(&request.items).map_err(error::violation)?,
            agreed_member_minor: request.agreed_member_minor,
            method: convert::to_method(request.payment_method()),
            source: request.payment_source.clone(),
            address: request.delivery_address.as_ref().map(|address| address.encode_to_vec()),
        };
        let answer = order::place(&self.app, &context, once!(request, PlaceOrderResponse), input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let shown =
            order::get(&self.app, &context, id).await.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetOrderResponse { order: Some(convert::order(&shown)) }))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let wanted = order::Wanted {
            patient: wire::optional_id("patient_person_id", &request.patient_person_id)
                .map_err(error::violation)?,
            branch: wire::optional_id("branch_id", &request.branch_id).map_err(error::violation)?,
        };
        let found = order::list(&self.app, &context, wanted, &page).await;
        let (orders, next) = found.map_err(|error| error::status(&context, error))?;
        let orders = orders.iter().map(convert::order).collect();
        Ok(Response::new(ListOrdersResponse { orders, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        // The first look decides whether the caller may look at all.
        order::get(&self.app, &context, id).await.map_err(|error| error::status(&context, error))?;
        let changes = order::watch(self.app.clone(), context.clone(), id, request.known_etag);
        let answers = futures::StreamExt::map(changes, move |change| match change {
            Ok(shown) => Ok(WatchOrderResponse { order: shown.as_ref().map(convert::order) }),
            Err(error) => Err(error::status(&context, error)),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn pack_parcel(
        &self,
        request: Request<PackParcelRequest>,
    ) -> Result<Response<PackParcelResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let input = order::Pack { order: id, lines: convert::lines(&request.lines) };
        let answer = order::pack(&self.app, &context, once!(request, PackParcelResponse), input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn dispense_parcel(
        &self,
        request: Request<DispenseParcelRequest>,
    ) -> Result<Response<DispenseParcelResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let parcel = wire::id("parcel_id", &request.parcel_id).map_err(error::violation)?;
        let handover = convert::from_handover(request.handover());
        let input = order::Dispense { order: id, parcel, handover };
        let answer =
            order::dispense(&self.app, &context, once!(request, DispenseParcelResponse), input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn deliver_parcel(
        &self,
        request: Request<DeliverParcelRequest>,
    ) -> Result<Response<DeliverParcelResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let parcel = wire::id("parcel_id", &request.parcel_id).map_err(error::violation)?;
        let proof = request.proof.clone();
        let answer =
            order::deliver(&self.app, &context, once!(request, DeliverParcelResponse), (id, parcel, proof))
                .await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn fail_delivery(
        &self,
        request: Request<FailDeliveryRequest>,
    ) -> Result<Response<FailDeliveryResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let parcel = wire::id("parcel_id", &request.parcel_id).map_err(error::violation)?;
        let failed = order::Fail { order: id, parcel, for_good: request.r#final };
        let answer = order::fail(&self.app, &context, once!(request, FailDeliveryResponse), failed).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn return_goods(
        &self,
        request: Request<ReturnGoodsRequest>,
    ) -> Result<Response<ReturnGoodsResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let lines = convert::lines(&request.lines);
        let answer =
            order::take_back(&self.app, &context, once!(request, ReturnGoodsResponse), (id, lines)).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let answer = order::cancel(&self.app, &context, once!(request, CancelOrderResponse), id).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_settlement(
        &self,
        request: Request<GetSettlementRequest>,
    ) -> Result<Response<GetSettlementResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("order_id", &request.order_id).map_err(error::violation)?;
        let settled = order::settlement(&self.app, &context, id).await;
        let settled = settled.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(convert::settlement(&settled)))
    }
}
