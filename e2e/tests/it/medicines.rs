//! A fresh demo, as somebody at a terminal tries its pharmacy: a medicine is found in spite of a typo and ordered at the insured
//! price.

use anyhow::{Context, Result};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::tools;
use serde_json::{Value, json};

use crate::grpcurl::grpcurl;

const SEARCH: &str = "caremesh.pharmacy.v1.CatalogService/SearchProducts";

struct Terminal {
    tool: std::path::PathBuf,
    demo: Demo,
    bearer: String,
}

impl Terminal {
    async fn call(&self, method: &str, request: Value) -> Result<Value> {
        let request = request.to_string();
        let arguments = ["-H", &self.bearer, "-d", &request, "--", method];
        Ok(serde_json::from_str(&grpcurl(&self.tool, &self.demo, &arguments).await?)?)
    }

    /// The best product for a query in Nigeria.
    async fn best(&self, query: &str) -> Result<Value> {
        let found = self.call(SEARCH, json!({ "query": query, "country_code": "NG" })).await?;
        Ok(found["hits"][0]["product"].clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medicine_of_the_demo_is_found_in_spite_of_a_typo_and_ordered_at_the_insured_price() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let bearer = format!("authorization: Bearer {}", demo.token("ngozi").await?);
    let terminal = Terminal { tool, demo, bearer };

    for query in ["augmentin 625", "agumentin 625", "augm"] {
        assert_eq!(terminal.best(query).await?["name"], "Augmentin 625 mg", "{query}");
    }
    let product = terminal.best("paracetmol 500").await?;
    assert_eq!(product["name"], "Paracetamol 500 mg");
    let product = product["productId"].as_str().context("a product")?;

    let near = json!({ "latitude_e6": 6_500_000, "longitude_e6": 3_300_000 });
    let stock = json!({ "product_id": product, "quantity": 2, "near": near });
    let stock = terminal.call("caremesh.pharmacy.v1.StockService/FindStock", stock).await?;
    let policies = terminal.call("caremesh.policy.v1.PolicyService/ListPolicies", json!({})).await?;
    let mut order = json!({
        "patient_person_id": policies["policies"][0]["members"][0]["personId"],
        "branch_id": stock["branches"][0]["branch"]["branchId"],
        "items": [{ "product_id": product, "quantity": 2, "unit_code": "{pack}" }],
    });
    let quote = terminal.call("caremesh.pharmacy.v1.OrderService/QuoteOrder", order.clone()).await?;
    let total = &quote["quote"]["total"];
    assert_eq!((&total["listMinor"], &total["planMinor"]), (&json!("90000"), &json!("81000")), "{quote}");

    // Any id will do: the demo is fresh.
    order["request_id"] = json!("3f0c1b52-8a4e-4d51-9a53-0a8c1c1d4e11");
    order["agreed_member_minor"] = total["memberMinor"].clone();
    order["payment_method"] = json!("PAYMENT_METHOD_CASH_ON_DELIVERY");
    let placed = terminal.call("caremesh.pharmacy.v1.OrderService/PlaceOrder", order).await?;
    assert_eq!(&placed["order"]["total"], total);
    Ok(())
}
