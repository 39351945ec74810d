//! Gets a key set from where its issuer keeps it: over HTTPS, or from a file that something mounts.
//! Knows nothing of keys; gives bytes and the tag under which it got them.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::config::{IdentityError, IssuerConfig};
use crate::tls::web_client_config;

/// A key set is a few KiB; more is not one.
const LARGEST: usize = 256 * 1024;
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// Where a key set comes from.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Web { uri: http::Uri, client: Box<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>> },
}

/// What a fetch gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The tag is still the present one.
    Unchanged,
    /// The present bytes and, if the issuer gives one, their tag.
    Body { bytes: Bytes, etag: Option<HeaderValue> },
}

/// Why a fetch gave nothing. No text of the issuer is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the key set's file cannot be read")]
    File(#[source] std::io::Error),
    #[error("the issuer cannot be reached")]
    Transport(#[source] hyper_util::client::legacy::Error),
    #[error("the issuer answered {0}")]
    Answer(StatusCode),
    #[error("the issuer's answer broke off or is larger than 256 KiB")]
    Body,
    #[error("the issuer did not answer within five seconds")]
    Late,
}

impl Source {
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, IdentityError> {
        let refused = |rule| IdentityError::Issuer { issuer: config.issuer.clone(), rule };
        if config.jwks_url.scheme() == "file" {
            let path =
                config.jwks_url.to_file_path().map_err(|()| refused("jwks_url must be an absolute path"))?;
            return Ok(Self::File(path));
        }
        let uri = config.jwks_url.as_str().parse().map_err(|_| refused("jwks_url must be a URL"))?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(web_client_config(config.jwks_roots.as_deref())?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self::Web { uri, client: Box::new(client) })
    }

    /// The present key set, unless `etag` still names it.
    pub(super) async fn fetch(&self, etag: Option<&HeaderValue>) -> Result<Fetched, FetchError> {
        match self {
            Self::File(path) => {
                let bytes = tokio::fs::read(path).await.map_err(FetchError::File)?;
                Ok(Fetched::Body { bytes: bytes.into(), etag: None })
            }
            Self::Web { uri, client } => tokio::time::timeout(FETCH_LIMIT, get(client, uri, etag))
                .await
                .map_err(|_| FetchError::Late)?,
        }
    }
}

async fn get(
    client: &Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    uri: &http::Uri,
    etag: Option<&HeaderValue>,
) -> Result<Fetched, FetchError> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(etag) = etag {
        request.headers_mut().insert(header::IF_NONE_MATCH, etag.clone());
    }
    let response = client.request(request).await.map_err(FetchError::Transport)?;
    match response.status() {
        StatusCode::NOT_MODIFIED => return Ok(Fetched::Unchanged),
        StatusCode::OK => {}
        other => return Err(FetchError::Answer(other)),
    }
    let etag = response.headers().get(header::ETAG).cloned();
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|_| FetchError::Body)?;
    Ok(Fetched::Body { bytes: body.to_bytes(), etag })
}
