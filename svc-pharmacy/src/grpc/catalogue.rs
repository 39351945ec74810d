//! CatalogService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::pharmacy::v1::catalog_service_server::CatalogService;
use caremesh_proto::pharmacy::v1::{
    GetIndexStatusRequest, GetIndexStatusResponse, GetProductRequest, GetProductResponse,
    ImportProductsRequest, ImportProductsResponse, ListAlternativesRequest, ListAlternativesResponse,
    ListProductsRequest, ListProductsResponse, SearchProductsRequest, SearchProductsResponse,
};
use tonic::{Request, Response, Status};

use super::catalogue_convert as convert;
use super::{Door, error};
use crate::app::list_products::ByName;
use crate::app::{Once, follow_catalogue, import_products, list_products, search_products};

#[tonic::async_trait]
impl CatalogService for Door {
    async fn search_products(
        &self,
        request: Request<SearchProductsRequest>,
    ) -> Result<Response<SearchProductsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page::<search_products::Cursor>(&context, &request, asked.as_ref())?;
        let input = convert::search(request).map_err(error::violation)?;
        let found = search_products::run(&self.app, &context, input, &page).await;
        let found = found.map_err(|error| error::status(&context, error))?;
        let page = self.next(&paging, found.next.as_ref())?;
        Ok(Response::new(convert::found(found, page)))
    }

    async fn get_product(
        &self,
        request: Request<GetProductRequest>,
    ) -> Result<Response<GetProductResponse>, Status> {
        let (context, request) = accept(request)?;
        let named = convert::named(request).map_err(error::violation)?;
        let found = list_products::get(&self.app, &context, named).await;
        let found = found.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetProductResponse { product: Some(self.product(&found)) }))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page::<ByName>(&context, &request, asked.as_ref())?;
        let class = convert::wanted_class(request.dispensing_class);
        let listed =
            list_products::list(&self.app, &context, request.country_code, class, request.atc_prefix, &page);
        let (found, next) = listed.await.map_err(|error| error::status(&context, error))?;
        let products = found.iter().map(|found| self.product(found)).collect();
        Ok(Response::new(ListProductsResponse { products, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn list_alternatives(
        &self,
        request: Request<ListAlternativesRequest>,
    ) -> Result<Response<ListAlternativesResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page::<u32>(&context, &request, asked.as_ref())?;
        let id = wire::id("product_id", &request.product_id).map_err(error::violation)?;
        let listed = list_products::alternatives(&self.app, &context, id, &page).await;
        let (found, next) = listed.map_err(|error| error::status(&context, error))?;
        let products = found.iter().map(|found| self.product(found)).collect();
        Ok(Response::new(ListAlternativesResponse {
            products,
            page: Some(self.next(&paging, next.as_ref())?),
        }))
    }

    async fn import_products(
        &self,
        request: Request<ImportProductsRequest>,
    ) -> Result<Response<ImportProductsResponse>, Status> {
        let (context, request) = accept(request)?;
        let rows =
            request.rows.iter().map(convert::row).collect::<Result<Vec<_>, _>>().map_err(error::violation)?;
        let once = Once { request_id: request.request_id.clone(), request, render: convert::entered };
        let answer = import_products::run(&self.app, &context, once, rows).await;
        Ok(Response::new(answer.map_err(|error| error::status(&context, error))?))
    }

    async fn get_index_status(
        &self,
        request: Request<GetIndexStatusRequest>,
    ) -> Result<Response<GetIndexStatusResponse>, Status> {
        let (context, request) = accept(request)?;
        let standing = follow_catalogue::status(&self.app, &context, &request.index_name).await;
        let standing = standing.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(convert::standing(standing)))
    }
}

impl Door {
    fn product(&self, found: &crate::domain::product::Catalogued) -> caremesh_proto::pharmacy::v1::Product {
        convert::product(found, self.app.search.tall_man(&found.product.name))
    }
}
