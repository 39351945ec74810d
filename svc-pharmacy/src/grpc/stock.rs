//! StockService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::pharmacy::v1::stock_service_server::StockService;
use caremesh_proto::pharmacy::v1::{
    BranchWithStock, CountStockRequest, CountStockResponse, FindStockRequest, FindStockResponse,
    ListLotsRequest, ListLotsResponse, RecallLotRequest, RecallLotResponse, ReceiveStockRequest,
    ReceiveStockResponse, ReleaseReservationRequest, ReleaseReservationResponse, ReserveStockRequest,
    ReserveStockResponse, TransferStockRequest, TransferStockResponse,
};
use tonic::{Request, Response, Status};

use super::convert::{branch, stock as convert};
use super::{Door, error};
use crate::app::{Once, stock};
use crate::store::stock::Place;

/// Branches that FindStock names when the caller does not say how many.
const FOUND: usize = 10;

#[tonic::async_trait]
impl StockService for Door {
    async fn receive_stock(
        &self,
        request: Request<ReceiveStockRequest>,
    ) -> Result<Response<ReceiveStockResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Receive {
            at: place_of(&request.branch_id, &request.product_id)?,
            number: request.lot_number.clone(),
            expiry: wire::date("expiry_date", request.expiry_date).map_err(error::violation)?,
            quantity: request.quantity,
            unit: request.unit_code.clone(),
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |lot| ReceiveStockResponse { lot: Some(convert::lot(lot)) },
        };
        let answer = stock::receive(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn count_stock(
        &self,
        request: Request<CountStockRequest>,
    ) -> Result<Response<CountStockResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Count {
            lot: wire::id("lot_id", &request.lot_id).map_err(error::violation)?,
            counted: request.counted,
            version: convert::version_of(&request.etag),
            reason: request.reason.clone(),
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |found: &stock::Counted| CountStockResponse {
                lot: Some(convert::lot(&found.lot)),
                broken_reservations: number(found.broken),
            },
        };
        let answer = stock::count(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn transfer_stock(
        &self,
        request: Request<TransferStockRequest>,
    ) -> Result<Response<TransferStockResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Transfer {
            lot: wire::id("lot_id", &request.lot_id).map_err(error::violation)?,
            to: wire::id("to_branch_id", &request.to_branch_id).map_err(error::violation)?,
            quantity: request.quantity,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |(from, to): &(stock::ShownLot, stock::ShownLot)| TransferStockResponse {
                from: Some(convert::lot(from)),
                to: Some(convert::lot(to)),
            },
        };
        let answer = stock::transfer(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn recall_lot(
        &self,
        request: Request<RecallLotRequest>,
    ) -> Result<Response<RecallLotResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Recall {
            product: wire::id("product_id", &request.product_id).map_err(error::violation)?,
            number: request.lot_number.clone(),
            reason: request.reason.clone(),
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |hit: &stock::Recalled| RecallLotResponse {
                lots: hit.lots.iter().map(convert::lot).collect(),
                broken_reservations: number(hit.broken),
            },
        };
        let answer = stock::recall(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn list_lots(
        &self,
        request: Request<ListLotsRequest>,
    ) -> Result<Response<ListLotsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let branch = wire::id("branch_id", &request.branch_id).map_err(error::violation)?;
        let product = wire::optional_id("product_id", &request.product_id).map_err(error::violation)?;
        let found = stock::list_lots(&self.app, &context, branch, product, &page).await;
        let (lots, next) = found.map_err(|error| error::status(&context, error))?;
        let lots = lots.iter().map(convert::lot).collect();
        Ok(Response::new(ListLotsResponse { lots, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn find_stock(
        &self,
        request: Request<FindStockRequest>,
    ) -> Result<Response<FindStockResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Find {
            product: wire::id("product_id", &request.product_id).map_err(error::violation)?,
            quantity: request.quantity,
            near: branch::point_of("near", request.near).map_err(error::violation)?,
            limit: usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(FOUND),
        };
        let found = stock::find(&self.app, &context, input).await;
        let (found, now) = found.map_err(|error| error::status(&context, error))?;
        let branches = found.iter().map(|(row, distance_metres)| BranchWithStock {
            branch: Some(branch::branch(row, now)),
            distance_metres: *distance_metres,
        });
        Ok(Response::new(FindStockResponse { branches: branches.collect() }))
    }

    async fn reserve_stock(
        &self,
        request: Request<ReserveStockRequest>,
    ) -> Result<Response<ReserveStockResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = stock::Reserve {
            at: place_of(&request.branch_id, &request.product_id)?,
            quantity: request.quantity,
            unit: request.unit_code.clone(),
            life_ms: i64::from(request.ttl_seconds) * 1_000,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |held| ReserveStockResponse { reservation: Some(convert::reservation(held)) },
        };
        let answer = stock::reserve(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn release_reservation(
        &self,
        request: Request<ReleaseReservationRequest>,
    ) -> Result<Response<ReleaseReservationResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("reservation_id", &request.reservation_id).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |held| ReleaseReservationResponse { reservation: Some(convert::reservation(held)) },
        };
        let answer = stock::release(&self.app, &context, once, id).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}

fn place_of(branch: &str, product: &str) -> Result<Place, Status> {
    let branch = wire::id("branch_id", branch).map_err(error::violation)?;
    Ok(Place { branch, product: wire::id("product_id", product).map_err(error::violation)? })
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
