//! The peer: Meilisearch as it comes, asked over its HTTP API: name, generic and manufacturer searchable, everything else by
//! default. Its program is named by whoever runs this; the product does not know it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::load::{Answers, Found};
use crate::child::{Process, free_address};

/// The index of the peer.
const INDEX: &str = "stock";

/// The engine's process.
pub(crate) struct Engine {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Engine {
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.current_dir(folder).arg("--db-path").arg(folder.join("engine"));
        command.args(["--http-addr", &address.to_string(), "--no-analytics", "--log-level", "ERROR"]);
        Ok(Self { process: Process::of(&mut command, address)?, address })
    }
}

/// A client of the engine that keeps its connections.
#[derive(Clone)]
pub(crate) struct Stock {
    client: Client<HttpConnector, Full<bytes::Bytes>>,
    url: String,
}

impl Stock {
    pub(crate) fn new(engine: &Engine) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, url: format!("http://{}", engine.address) }
    }

    /// Makes the index; gives when its settings are in force.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        let made = json!({ "uid": INDEX, "primaryKey": "product_id" });
        self.task("POST", "/indexes", "application/json", made.to_string().into_bytes()).await?;
        let searchable = json!({ "searchableAttributes": ["name", "generic", "manufacturer"] });
        let path = format!("/indexes/{INDEX}/settings");
        self.task("PATCH", &path, "application/json", searchable.to_string().into_bytes()).await
    }

    /// Takes a file of products in.
    pub(crate) async fn add(&self, file: &Path) -> anyhow::Result<()> {
        self.task("POST", &format!("/indexes/{INDEX}/documents"), "text/csv", std::fs::read(file)?).await
    }

    async fn task(&self, verb: &str, path: &str, kind: &'static str, body: Vec<u8>) -> anyhow::Result<()> {
        let told = self.send(verb, path, kind, body).await?;
        let path = format!("/tasks/{}", told["taskUid"].as_u64().context("no task")?);
        loop {
            let task = self.send("GET", &path, "application/json", Vec::new()).await?;
            match task["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("enqueued" | "processing") => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => anyhow::bail!("the engine says {task}"),
            }
        }
    }

    async fn send(&self, verb: &str, path: &str, kind: &'static str, body: Vec<u8>) -> anyhow::Result<Value> {
        let request = Request::builder().method(verb).uri(format!("{}{path}", self.url));
        let request = request.header(header::CONTENT_TYPE, kind).body(Full::new(body.into()))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "the engine answers {status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}

impl Answers for Stock {
    fn ask(&self, text: String, most: u32) -> BoxFuture<'static, anyhow::Result<Vec<Found>>> {
        let this = self.clone();
        async move {
            let query = json!({ "q": text, "limit": most }).to_string().into_bytes();
            let path = format!("/indexes/{INDEX}/search");
            let answer = this.send("POST", &path, "application/json", query).await?;
            let text = |hit: &Value, field: &str| hit[field].as_str().unwrap_or_default().to_owned();
            let found = |hit: &Value| Found {
                code: text(hit, "product_id"),
                words: format!("{} {}", text(hit, "name"), text(hit, "generic")).to_lowercase(),
            };
            Ok(answer["hits"].as_array().context("no hits")?.iter().map(found).collect())
        }
        .boxed()
    }
}
