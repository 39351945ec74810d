//! Which pages of which origins may call, and what they may read of an answer.
//! Must not know who the caller is: CORS protects the person's browser, not the services.

use std::task::{Context, Poll};
use std::time::Duration;

use caremesh_mesh::identity::metadata::{EPISODE, PURPOSE};
use caremesh_mesh::opening::CALL_ID;
use caremesh_mesh::ticket::{RECEIPT_HEADER, TICKET_HEADER};
use futures::future::Either;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

/// How long a browser may keep the answer to a preflight; Chromium caps it at two hours.
const PREFLIGHT_AGE: Duration = Duration::from_secs(7_200);

/// What grpc-web and Connect clients send, and the caller's own context.
const REQUEST_HEADERS: [HeaderName; 17] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ACCEPT,
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
    HeaderName::from_static("traceparent"),
    PURPOSE,
    EPISODE,
    HeaderName::from_static("x-correlation-id"),
    header::USER_AGENT,
    // Documents.
    header::RANGE,
    HeaderName::from_static(TICKET_HEADER),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-offset"),
];

/// Without these a browser sees "closed without gRPC status" for every refusal.
const ANSWER_HEADERS: [HeaderName; 8] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    CALL_ID,
    // Documents.
    header::CONTENT_RANGE,
    header::RETRY_AFTER,
    HeaderName::from_static(RECEIPT_HEADER),
    HeaderName::from_static("upload-offset"),
];

/// The layer for the configured `origins`. Without any, only pages that the gateway itself serves
/// can call. Credentials are tokens in a header, never cookies, so they are not allowed here.
pub(crate) fn layer(origins: &[HeaderValue]) -> PagesLayer {
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::POST, Method::GET, Method::HEAD, Method::PATCH, Method::DELETE])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(ANSWER_HEADERS)
        .max_age(PREFLIGHT_AGE);
    PagesLayer(layer)
}

/// CORS for whatever a page of another origin may have sent.
#[derive(Debug, Clone)]
pub(crate) struct PagesLayer(CorsLayer);

impl<S: Clone> Layer<S> for PagesLayer {
    type Service = Pages<S>;

    fn layer(&self, inner: S) -> Pages<S> {
        Pages { cors: self.0.layer(inner.clone()), inner }
    }
}

/// The service of [`PagesLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Pages<S> {
    cors: Cors<S>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Pages<S>
where
    S: Service<Request<B>>,
    Cors<S>: Service<Request<B>, Response = S::Response, Error = S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<<Cors<S> as Service<Request<B>>>::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A POST without an origin comes from no page of another host, and its answer is kept by no cache: what CORS
        // would add is read by nobody. The answer to a GET may be kept for one who has an origin.
        let may_concern_a_page =
            request.method() != Method::POST || request.headers().contains_key(header::ORIGIN);
        match may_concern_a_page {
            true => Either::Left(self.cors.call(request)),
            false => Either::Right(self.inner.call(request)),
        }
    }
}

/// An origin as browsers write it: scheme, host, port if it is not the default, and nothing more.
pub(crate) fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && text == format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    if plain { HeaderValue::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_more() {
        assert!(origin("https://app.example.org").is_some());
        assert!(origin("http://localhost:5173").is_some());
        for wrong in ["*", "https://app.example.org/", "app.example.org", "ftp://x", "https://a@b", "null"] {
            assert!(origin(wrong).is_none(), "{wrong}");
        }
    }
}
