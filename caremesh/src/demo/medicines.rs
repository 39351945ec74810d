//! What the demo's pharmacies sell and have in stock, entered as an operator would.
//! Must not know svc-pharmacy from inside.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use caremesh_proto::pharmacy::v1::catalog_service_client::CatalogServiceClient;
use caremesh_proto::pharmacy::v1::stock_service_client::StockServiceClient;
use caremesh_proto::pharmacy::v1::{
    Branch, DispensingClass, GetIndexStatusRequest, ImportProductsRequest, ListProductsRequest, Product,
    ProductRow, ReceiveStockRequest,
};
use caremesh_proto::r#type::v1::{Date, Money};
use serde::Deserialize;

use super::load::request_id;
use super::{DemoPerson, Loader};

/// The file of medicines.
pub(super) const FILE: &str = include_str!("../../demo/medicines.toml");
/// Packs of each medicine at a branch.
const PACKS: i64 = 200;
/// Between two looks whether they can be found, and how many looks.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 200;
/// The first day on which none of them may be handed out.
const EXPIRY: Date = Date { year: 2031, month: 1, day: 1 };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    product: Vec<Medicine>,
}

/// A medicine as the file tells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Medicine {
    code: String,
    country: String,
    name: String,
    generic: String,
    strength: String,
    form: String,
    maker: String,
    atc: String,
    class: String,
    price: i64,
}

impl Loader<'_> {
    /// Enters every medicine of the demo.
    pub(super) async fn import_medicines(&self, operator: &DemoPerson) -> Result<()> {
        let catalogue: Catalogue = toml::from_str(FILE).context("demo/medicines.toml")?;
        let rows: Vec<_> = catalogue.product.into_iter().map(Medicine::on_the_wire).collect::<Result<_>>()?;
        let request = ImportProductsRequest { request_id: request_id(&["medicines", FILE]), rows };
        let mut service = CatalogServiceClient::new(self.gateway.clone());
        let answer = service.import_products(self.signed(request, operator)?).await?.into_inner();
        ensure!(answer.skipped.is_empty(), "medicines of the demo were skipped: {:?}", answer.skipped);
        Ok(())
    }

    /// Waits until every medicine is found by a search: the index follows the catalogue.
    pub(super) async fn until_found(&self, operator: &DemoPerson) -> Result<()> {
        let mut service = CatalogServiceClient::new(self.gateway.clone());
        for _ in 0..LOOKS {
            let request = self.signed(GetIndexStatusRequest::default(), operator)?;
            let status = service.get_index_status(request).await?.into_inner();
            if status.pending_changes == 0 && status.document_count > 0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the search index does not follow the catalogue")
    }

    /// Fills a branch with every medicine of its country.
    pub(super) async fn fill(&self, branch: &Branch, operator: &DemoPerson) -> Result<()> {
        let mut service = StockServiceClient::new(self.gateway.clone());
        for product in self.products_of(&branch.jurisdiction_code).await? {
            let request = ReceiveStockRequest {
                request_id: request_id(&["stock", &branch.branch_id, &product.product_id]),
                branch_id: branch.branch_id.clone(),
                product_id: product.product_id,
                lot_number: "DEMO-1".to_owned(),
                expiry_date: Some(EXPIRY),
                quantity: PACKS,
                unit_code: "{pack}".to_owned(),
            };
            service.receive_stock(self.signed(request, operator)?).await?;
        }
        Ok(())
    }

    /// One page holds all that the demo sells in a country.
    async fn products_of(&self, country: &str) -> Result<Vec<Product>> {
        let request =
            ListProductsRequest { country_code: country.to_owned(), ..ListProductsRequest::default() };
        let mut service = CatalogServiceClient::new(self.gateway.clone());
        Ok(service.list_products(request).await?.into_inner().products)
    }
}

impl Medicine {
    fn on_the_wire(self) -> Result<ProductRow> {
        let class = DispensingClass::from_str_name(&format!("DISPENSING_CLASS_{}", self.class));
        let currency_code = if self.country == "NG" { "NGN" } else { "INR" }.to_owned();
        Ok(ProductRow {
            code: self.code,
            country_code: self.country,
            name: self.name,
            generic: self.generic,
            strength: self.strength,
            form: self.form,
            manufacturer: self.maker,
            atc_code: self.atc,
            dispensing_class: class.context("an unknown dispensing class")?.into(),
            list_price: Some(Money { currency_code, minor_units: self.price }),
            ..ProductRow::default()
        })
    }
}
