//! Which headers cross the edge, in both directions.
//! Must not know what they mean beyond who may set them.

use caremesh_mesh::identity::metadata::{EPISODE, PURPOSE, drop_untrusted};
use caremesh_mesh::opening::CALL_ID;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers that speak of one connection, not of the call (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a browser says to the edge and no service needs: where it is, what it speaks, its cookies.
/// The address of a person is personal data and stays here too.
const EDGE_ONLY: [HeaderName; 16] = [
    // The transport writes these two itself.
    header::HOST,
    header::CONTENT_LENGTH,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::COOKIE,
    header::DNT,
    header::FORWARDED,
    header::ORIGIN,
    header::PRAGMA,
    header::REFERER,
    header::VIA,
    HeaderName::from_static("priority"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-grpc-web"),
];

/// How the caller's messages are compressed.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What the caller can read.
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Names that only the mesh may write; a caller who sends one is not believed.
const MESH_PREFIX: &str = "x-caremesh-";
/// What a caller may say under that prefix.
const FROM_CALLERS: [HeaderName; 2] = [PURPOSE, EPISODE];
/// What an answer may carry outside under that prefix.
const TO_CALLERS: [HeaderName; 1] = [CALL_ID];
/// Families of headers that are about the browser or about proxies in front.
const EDGE_PREFIXES: [&str; 2] = ["sec-", "x-forwarded-"];

/// Removes what must not come in. Runs first of all, so that no step of the edge can believe it.
pub(crate) fn clean_inbound(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    drop_untrusted(headers);
    remove_matching(headers, |name| name.as_str().starts_with(MESH_PREFIX) && !FROM_CALLERS.contains(name));
}

/// Removes what ends at the edge, and says that trailers are understood.
pub(crate) fn clean_outbound(headers: &mut HeaderMap) {
    for name in &EDGE_ONLY {
        headers.remove(name);
    }
    remove_matching(headers, |name| EDGE_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)));
    answer_in_kind(headers);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
}

/// Some clients always say that they can read gzip. Small answers only lose time by it, so it is believed of callers
/// that compress themselves.
fn answer_in_kind(headers: &mut HeaderMap) {
    let compresses = headers.get(ENCODING).is_some_and(|encoding| encoding != "identity");
    if !compresses {
        headers.remove(ACCEPT_ENCODING);
    }
}

/// Removes from an answer what belongs to the inside.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    // The gateway may have to add trailers of its own.
    headers.remove(header::CONTENT_LENGTH);
    remove_hop_by_hop(headers);
    remove_matching(headers, |name| name.as_str().starts_with(MESH_PREFIX) && !TO_CALLERS.contains(name));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// `Connection: close, x-foo` makes `x-foo` hop-by-hop.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

fn remove_matching(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn what_only_the_mesh_may_say_is_not_believed_from_outside() {
        let mut map = headers(&[
            ("x-caremesh-on-behalf-of", "prs"),
            ("x-caremesh-call-id", "mine"),
            ("x-caremesh-purpose", "treatment"),
            ("baggage", "episode=1"),
            ("authorization", "Bearer x"),
            ("connection", "close, x-sneaky"),
            ("x-sneaky", "1"),
        ]);
        clean_inbound(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "x-caremesh-purpose"]);
    }

    #[test]
    fn metadata_of_the_caller_goes_on_and_browser_headers_do_not() {
        let mut map = headers(&[
            ("cookie", "a=b"),
            ("sec-fetch-mode", "cors"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-correlation-id", "c1"),
            ("grpc-encoding", "gzip"),
        ]);
        clean_outbound(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-encoding", "te", "x-correlation-id"]);
    }

    #[test]
    fn only_who_compresses_is_answered_compressed() {
        for (encoding, left) in [("gzip", true), ("identity", false)] {
            let mut map = headers(&[("grpc-encoding", encoding), ("grpc-accept-encoding", "identity,gzip")]);
            clean_outbound(&mut map);
            assert_eq!(map.contains_key("grpc-accept-encoding"), left, "{encoding}");
        }
    }
}
