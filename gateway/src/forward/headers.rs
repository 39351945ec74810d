//! Which headers cross the edge, in both directions.
//! Must not know what they mean beyond who may set them.

use caremesh_mesh::identity::metadata::{EPISODE, PURPOSE, drop_untrusted};
use caremesh_mesh::opening::CALL_ID;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Whether a header speaks of one connection, not of the call (RFC 9110, section 7.6.1).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a header is what a browser says to the edge and no service needs: where it is, what it speaks, its
/// cookies. The address of a person is personal data and stays here too.
fn is_for_the_edge(name: &str) -> bool {
    matches!(
        name,
        // The transport writes these two itself.
        "host"
            | "content-length"
            | "accept"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "cookie"
            | "dnt"
            | "forwarded"
            | "origin"
            | "pragma"
            | "referer"
            | "via"
            | "priority"
            | "x-real-ip"
            | "x-grpc-web"
    ) || EDGE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

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
    remove_named_by_connection(headers);
    drop_untrusted(headers);
    remove_matching(headers, |name| {
        is_hop_by_hop(name.as_str()) || name.as_str().starts_with(MESH_PREFIX) && !FROM_CALLERS.contains(name)
    });
}

/// Removes what ends at the edge, and says that trailers are understood.
pub(crate) fn clean_outbound(headers: &mut HeaderMap) {
    remove_matching(headers, |name| is_for_the_edge(name.as_str()));
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
    remove_named_by_connection(headers);
    remove_matching(headers, |name| {
        // The gateway may have to add trailers of its own.
        *name == header::CONTENT_LENGTH
            || is_hop_by_hop(name.as_str())
            || name.as_str().starts_with(MESH_PREFIX) && !TO_CALLERS.contains(name)
    });
}

/// `Connection: close, x-foo` makes `x-foo` hop-by-hop.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|it| it.to_str().ok());
    let names: Vec<HeaderName> =
        values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in names {
        headers.remove(name);
    }
}

/// Looks at each header that is there: looking each unwanted one up would hash thirty names a call.
fn remove_matching(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
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
