//! What is measured: `caremesh up` as it ships, asked over gRPC and TLS through its gateway, and `caremesh import` beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use caremesh::edge_client;
use caremesh_proto::pharmacy::v1::catalog_service_client::CatalogServiceClient;
use caremesh_proto::pharmacy::v1::{GetIndexStatusRequest, SearchProductsRequest};
use caremesh_proto::r#type::v1::PageRequest;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::load::{Answers, Found};
use crate::child::{Process, free_address};
use crate::measure::resident_megabytes;

/// Longest that the index may lag behind a catalogue that is complete.
const FOLLOW: Duration = Duration::from_secs(300);
/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(50);
/// Addresses that would take a port.
const LISTENERS: [&str; 7] = [
    "gateway.listen",
    "gateway.admin_listen",
    "policy.listen",
    "policy.admin_listen",
    "pharmacy.listen",
    "pharmacy.admin_listen",
    "issuer.listen",
];
/// Rates that no load here comes near.
const LIMITLESS: [&str; 2] =
    ["gateway.limits.address_rate.per_second=1000000", "gateway.limits.address_rate.burst=1000000"];

/// A running `caremesh up`.
pub(crate) struct Up {
    process: Process,
    binary: PathBuf,
    data: PathBuf,
    channel: Channel,
    token: String,
}

/// What an import took.
pub(crate) struct Imported {
    pub(crate) seconds: f64,
    /// The most that the importing process held, megabytes.
    pub(crate) importer: f64,
    /// The most that the process which serves meanwhile held.
    pub(crate) server: f64,
}

impl Up {
    /// Starts it on a data folder, with Meilisearch as its engine if one is named.
    pub(crate) async fn start(
        binary: &Path,
        data: &Path,
        engine: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.args(["up", "--data"]).arg(data).stderr(Stdio::null());
        let mut port = 0;
        for listener in LISTENERS {
            let address = free_address()?;
            port = if listener == LISTENERS[0] { address.port() } else { port };
            command.args(["--set", &format!("{listener}={address}")]);
        }
        for rate in LIMITLESS {
            command.args(["--set", rate]);
        }
        if let Some(engine) = engine {
            command.args(["--set", "pharmacy.search.engine=meilisearch"]);
            command.args(["--set", &format!("pharmacy.search.url=http://{engine}")]);
        }
        let process = Process::saying(&mut command, "Caremesh is ready")?;
        let channel = edge_client::channel(port, &data.join("tls/local-ca.pem"))?;
        let token = Command::new(binary).args(["token", "--as", "deji", "--data"]).arg(data).output()?;
        ensure!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
        let token = String::from_utf8(token.stdout)?.trim().to_owned();
        Ok(Self { process, binary: binary.to_owned(), data: data.to_owned(), channel, token })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks as anybody does who is not signed in.
    pub(crate) fn client(&self) -> Through {
        Through(CatalogServiceClient::new(self.channel.clone()))
    }

    /// Imports a file with the command, while this goes on serving.
    pub(crate) async fn import(&self, file: &Path) -> anyhow::Result<Imported> {
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(["import", "medications"]).arg(file).arg("--data").arg(&self.data);
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let id = child.id().context("an import without a process")?;
        let (mut importer, mut server) = (0.0_f64, 0.0_f64);
        let ended = loop {
            importer = importer.max(resident_megabytes(id).unwrap_or(0.0));
            server = server.max(resident_megabytes(self.id())?);
            if let Some(ended) = child.try_wait()? {
                break ended;
            }
            tokio::time::sleep(LOOK).await;
        };
        ensure!(ended.success(), "the import failed");
        Ok(Imported { seconds: begun.elapsed().as_secs_f64(), importer, server })
    }

    /// Waits until every one of `products` is found; gives the seconds that took.
    pub(crate) async fn until_found(&self, products: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let wanted = i64::try_from(products)?;
        let mut client = CatalogServiceClient::new(self.channel.clone());
        while begun.elapsed() < FOLLOW {
            let mut request = tonic::Request::new(GetIndexStatusRequest::default());
            request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
            let status = client.get_index_status(request).await?.into_inner();
            if status.document_count >= wanted && status.pending_changes == 0 {
                return Ok(begun.elapsed().as_secs_f64());
            }
            tokio::time::sleep(LOOK).await;
        }
        anyhow::bail!("the index does not follow the catalogue")
    }

    /// Ends it as an operator would, so that its folder can be used again.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.process.stop()
    }
}

/// The public face.
#[derive(Clone)]
pub(crate) struct Through(CatalogServiceClient<Channel>);

impl Answers for Through {
    fn ask(&self, text: String, most: u32) -> BoxFuture<'static, anyhow::Result<Vec<Found>>> {
        let mut client = self.0.clone();
        async move {
            let page = PageRequest { page_size: i32::try_from(most)?, ..PageRequest::default() };
            let request =
                SearchProductsRequest { query: text, page: Some(page), ..SearchProductsRequest::default() };
            let answer = client.search_products(request).await?.into_inner();
            let products = answer.hits.into_iter().filter_map(|hit| hit.product);
            let found = |product: caremesh_proto::pharmacy::v1::Product| Found {
                words: format!("{} {}", product.name, product.generic).to_lowercase(),
                code: product.code,
            };
            Ok(products.map(found).collect())
        }
        .boxed()
    }
}
