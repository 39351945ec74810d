//! The folder of the web app, served with headers that leave a browser no room for foreign code.
//! Must not know gRPC. Without a folder every path is unknown.

use std::convert::Infallible;
use std::path::PathBuf;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use tonic::body::Body;
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// One year: a browser that came once by TLS does not try without it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
/// Files whose name holds a hash of their content never change.
const IMMUTABLE_FOLDER: &str = "/assets/";

/// Serves files, or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: Option<ServeDir>,
    policy: HeaderValue,
}

impl Files {
    /// Files of `folder`. Pages may connect to the gateway itself and to `connect_origins` (the
    /// sign-in service), and to nothing else.
    pub(crate) fn new(folder: Option<PathBuf>, connect_origins: &[HeaderValue]) -> Self {
        let folder = folder.map(|it| ServeDir::new(it).append_index_html_on_directories(true));
        Self { folder, policy: content_security_policy(connect_origins) }
    }

    /// The file, or that there is none.
    pub(crate) async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let immutable = request.uri().path().starts_with(IMMUTABLE_FOLDER);
        let local = is_local(&request);
        let mut response = match self.folder {
            Some(folder) if is_read(request.method()) => folder.oneshot(request).await?.map(Body::new),
            _ => empty(StatusCode::NOT_FOUND),
        };
        let found = response.status().is_success();
        let headers = response.headers_mut();
        protect(headers, self.policy, !local);
        headers.insert(header::CACHE_CONTROL, cache_rule(immutable && found));
        Ok(response)
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A browser remembers HSTS for a host over all its ports: on `localhost` it would break every other
/// program that a developer runs.
fn is_local(request: &Request<Body>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let authority = authority.or_else(|| request.uri().authority().cloned());
    authority.is_some_and(|it| matches!(it.host(), "localhost" | "127.0.0.1" | "[::1]"))
}

fn cache_rule(immutable: bool) -> HeaderValue {
    if immutable {
        HeaderValue::from_static("public, max-age=31536000, immutable")
    } else {
        HeaderValue::from_static("no-cache")
    }
}

fn content_security_policy(connect_origins: &[HeaderValue]) -> HeaderValue {
    let connect: String = connect_origins
        .iter()
        .filter_map(|origin| origin.to_str().ok())
        .map(|origin| format!(" {origin}"))
        .collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         font-src 'self'; media-src 'self' blob: mediastream:; connect-src 'self'{connect}; \
         manifest-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    );
    // Origins were checked to be header values; the rest is plain ASCII.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn protect(headers: &mut HeaderMap, policy: HeaderValue, transport: bool) {
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // For browsers that do not know frame-ancestors.
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // Consultations need camera and microphone; nothing needs the rest.
        ("permissions-policy", "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if transport {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}
