//! svc-pharmacy on a database beside a running svc-policy, a branch with products, and people who ask what they cost.

use std::sync::Arc;

use anyhow::Context;
use caremesh_kernel::{SystemClock, SystemIds};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::identity::Identity;
use caremesh_proto::pharmacy::v1::branch_service_client::BranchServiceClient;
use caremesh_proto::pharmacy::v1::catalog_service_client::CatalogServiceClient;
use caremesh_proto::pharmacy::v1::order_service_client::OrderServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_svc_pharmacy::{Config, NAME, Parts, PaymentConfig, SearchConfig, Service};
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::insured::{money, request_id};
use caremesh_testkit::mesh::{CallerChannel, Server};
use secrecy::SecretString;

use crate::ledger::world::{Surroundings, World};

/// Products of an order.
const PRODUCTS: usize = 2;

/// A branch and what is ordered there.
#[derive(Clone)]
pub(crate) struct Goods {
    branch: String,
    products: Vec<String>,
}

/// An insured person who asks for quotes.
pub(crate) struct Patient {
    pub(crate) person: TestPerson,
    pub(crate) record: String,
    pub(crate) goods: Goods,
}

/// svc-pharmacy, running.
pub(crate) struct Shop<'a> {
    around: &'a Surroundings,
    server: Server,
    life: Lifecycle,
    service: Service,
}

fn config(around: &Surroundings, database_url: &str, policy: Option<&World<'_>>, clients: u32) -> Config {
    let file = |name: &str| around.folder().join(format!("pharmacy-{name}"));
    let policy = policy.map_or_else(String::new, |policy| format!("https://{}", policy.server.address));
    Config {
        database_url: SecretString::from(database_url),
        keys_url: SecretString::from(format!("sqlite://{}", file("keys.db").display())),
        key_file: file("keys.json"),
        audit_key_file: file("audit.key"),
        audit_checkpoint_file: file("audit.log"),
        policy_address: policy,
        client: caremesh_mesh::client::ClientConfig::default(),
        payments: PaymentConfig::default(),
        documents_folder: None,
        search: SearchConfig::Memory,
        read_connections: clients,
        write_connections: clients,
        sweep_ms: 3_600_000,
        server: caremesh_mesh::config::ServerConfig::default(),
    }
}

impl<'a> Shop<'a> {
    /// Brings the database's schema up.
    pub(crate) async fn migrate(around: &Surroundings, database_url: &str) -> anyhow::Result<()> {
        Ok(caremesh_svc_pharmacy::migrate(&config(around, database_url, None, 2)).await?)
    }

    /// Starts the service.
    pub(crate) async fn open(
        around: &'a Surroundings,
        policy: &World<'_>,
        database_url: &str,
        clients: u32,
    ) -> anyhow::Result<Self> {
        let parts = Parts {
            workload: around.mesh.authority.workload(NAME)?,
            authenticator: Arc::new(Identity::new(&around.mesh.issuer.config(), Arc::new(SystemClock))?),
            metrics: Arc::new(String::new),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        };
        let life = Lifecycle::new();
        let config = config(around, database_url, Some(policy), clients);
        let service = caremesh_svc_pharmacy::start(config, parts, &life).await?;
        let server = Server { name: NAME.to_owned(), address: service.address() };
        Ok(Self { around, server, life, service })
    }

    /// Ends the service and its connections.
    pub(crate) async fn close(self) {
        self.life.end_softly();
        self.service.ended().await;
    }

    /// A branch, and products in the catalogue.
    pub(crate) async fn stock(&self) -> anyhow::Result<Goods> {
        let operator = TestPerson::new(&request_id(), &["operator"]);
        let caller = self.around.mesh.person(&self.server, &operator)?;
        let branch = CreateBranchRequest {
            request_id: request_id(),
            organisation_id: "org_08ktz3rcxnbhx8ynk26c496c49".to_owned(),
            display_name: "Ikeja".to_owned(),
            jurisdiction_code: "NG".to_owned(),
            time_zone: "Africa/Lagos".to_owned(),
            location: Some(GeoPoint { latitude_e6: 6_600_000, longitude_e6: 3_350_000 }),
        };
        let branch = BranchServiceClient::new(caller.clone()).create_branch(branch).await?.into_inner();
        let rows = (0..PRODUCTS).map(row).collect();
        let import = ImportProductsRequest { request_id: request_id(), rows };
        let mut catalogue = CatalogServiceClient::new(caller);
        catalogue.import_products(import).await?;
        let mut products = Vec::new();
        for number in 0..PRODUCTS {
            let asked = GetProductRequest { code: code(number), ..GetProductRequest::default() };
            let product = catalogue.get_product(asked).await?.into_inner().product;
            products.push(product.context("a product")?.product_id);
        }
        Ok(Goods { branch: branch.branch.context("a branch")?.branch_id, products })
    }

    /// A connection of its own for one patient.
    pub(crate) fn counter(&self, patient: &Patient) -> anyhow::Result<Counter> {
        let item = |product: &String| OrderItem {
            product_id: product.clone(),
            quantity: 1,
            unit_code: "{pack}".to_owned(),
            ..OrderItem::default()
        };
        let request = QuoteOrderRequest {
            patient_person_id: patient.record.clone(),
            branch_id: patient.goods.branch.clone(),
            items: patient.goods.products.iter().map(item).collect(),
        };
        let caller = self.around.mesh.person(&self.server, &patient.person)?;
        Ok(Counter { client: OrderServiceClient::new(caller), request })
    }
}

fn code(number: usize) -> String {
    format!("BENCH-{number}")
}

fn row(number: usize) -> ProductRow {
    ProductRow {
        code: code(number),
        country_code: "NG".to_owned(),
        name: format!("Paracetamol {number}"),
        generic: "paracetamol".to_owned(),
        strength: "500 mg".to_owned(),
        form: "tablet".to_owned(),
        pack: "strip of 10 tablets".to_owned(),
        dispensing_class: DispensingClass::OverTheCounter.into(),
        list_price: Some(money("NGN", 45_000)),
        ..ProductRow::default()
    }
}

/// Where one patient asks.
pub(crate) struct Counter {
    client: OrderServiceClient<CallerChannel>,
    request: QuoteOrderRequest,
}

impl Counter {
    /// One quote, in which the plan bears its share.
    pub(crate) async fn quote(&self) -> anyhow::Result<()> {
        let answer = self.client.clone().quote_order(self.request.clone()).await?.into_inner();
        let total = answer.quote.context("a quote")?.total.context("a total")?;
        anyhow::ensure!(total.plan_minor > 0, "the plan bears nothing: {total:?}");
        Ok(())
    }
}
