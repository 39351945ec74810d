//! HTTP for the SDK: its own client sends a body in pieces of zeros and copies it twice; this one keeps connections, sends
//! what it has, ends with a deadline, and tells "away" from "refused". It knows no index.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncReadExt as _};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use meilisearch_sdk::errors::Error;
use meilisearch_sdk::request::{HttpClient, Method, parse_response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Connections that stay open between calls.
const IDLE_CONNECTIONS: usize = 32;
/// How long one stays open without a call.
const IDLE: Duration = Duration::from_secs(60);

/// The engine cannot be reached, does not answer in time, or is too busy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Away(pub(super) &'static str);

/// A client that keeps its connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: Option<HeaderValue>,
    limit: Duration,
}

impl Http {
    /// None when the key is no header value or the public roots cannot be loaded.
    pub(super) fn new(key: Option<&SecretString>, limit: Duration) -> Option<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let tls = caremesh_mesh::tls::web_client_config(None).ok()?;
        let builder =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(builder.wrap_connector(connector));
        let value = |key: &SecretString| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let authorization = match key {
            Some(key) => Some(value(key)?),
            None => None,
        };
        Some(Self { client, authorization, limit })
    }

    async fn send<Output: DeserializeOwned>(
        &self,
        url: String,
        verb: http::Method,
        content_type: &'static str,
        body: Vec<u8>,
        expected: u16,
    ) -> Result<Output, Error> {
        let mut request =
            Request::builder().method(verb).uri(&url).header(header::CONTENT_TYPE, content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|_| Error::InvalidRequest)?;
        let answered = tokio::time::timeout(self.limit, async {
            let response = self.client.request(request).await.map_err(|_| away("it cannot be reached"))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|_| away("its answer broke off"))?;
            Ok::<_, Error>((status, body.to_bytes()))
        });
        let (status, body) = answered.await.map_err(|_| away("it did not answer in time"))??;
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            return Err(away("it is too busy"));
        }
        let text = std::str::from_utf8(&body).map_err(|_| away("its answer is no text"))?;
        parse_response(status.as_u16(), expected, if text.is_empty() { "null" } else { text }, url)
    }
}

fn away(why: &'static str) -> Error {
    Error::Other(Box::new(Away(why)))
}

fn verb<Q, B>(method: &Method<Q, B>) -> http::Method {
    match method {
        Method::Get { .. } => http::Method::GET,
        Method::Post { .. } => http::Method::POST,
        Method::Patch { .. } => http::Method::PATCH,
        Method::Put { .. } => http::Method::PUT,
        Method::Delete { .. } => http::Method::DELETE,
    }
}

/// The address with the query's fields that have a value.
fn with_query(url: &str, query: &impl Serialize) -> Result<String, Error> {
    let fields = serde_json::to_value(query)?;
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => drop(pairs.append_pair(name, text)),
            other => drop(pairs.append_pair(name, &other.to_string())),
        }
    }
    let pairs = pairs.finish();
    Ok(if pairs.is_empty() { url.to_owned() } else { format!("{url}?{pairs}") })
}

#[async_trait]
impl HttpClient for Http {
    async fn request<Query, Body, Output>(
        &self,
        url: &str,
        method: Method<Query, Body>,
        expected_status_code: u16,
    ) -> Result<Output, Error>
    where
        Query: Serialize + Send + Sync,
        Body: Serialize + Send + Sync,
        Output: DeserializeOwned + 'static + Send,
    {
        let (url, verb) = (with_query(url, method.query())?, verb(&method));
        let body = method.body().map(serde_json::to_vec).transpose()?.unwrap_or_default();
        self.send(url, verb, "application/json", body, expected_status_code).await
    }

    async fn stream_request<
        Query: Serialize + Send + Sync,
        Body: AsyncRead + Send + Sync + 'static,
        Output: DeserializeOwned + 'static,
    >(
        &self,
        url: &str,
        method: Method<Query, Body>,
        content_type: &str,
        expected_status_code: u16,
    ) -> Result<Output, Error> {
        let (url, verb) = (with_query(url, method.query())?, verb(&method));
        let kind =
            if content_type == "application/x-ndjson" { "application/x-ndjson" } else { "application/json" };
        let mut body = Vec::new();
        if let Some(stream) = method.into_body() {
            let mut stream = std::pin::pin!(stream);
            stream.read_to_end(&mut body).await.map_err(|_| Error::InvalidRequest)?;
        }
        self.send(url, verb, kind, body, expected_status_code).await
    }

    fn is_tokio(&self) -> bool {
        true
    }
}
