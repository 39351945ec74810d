//! Tells gRPC from plain HTTP, and brings `content-type` and `accept` into the exact form that
//! tonic-web compares with: it answers 400 to `application/grpc-web+proto; charset=utf-8`.
//! Must not know services.

use std::borrow::Cow;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Version};

const GRPC: [&str; 2] = ["application/grpc", "application/grpc+proto"];
const WEB_BINARY: [&str; 2] = ["application/grpc-web", "application/grpc-web+proto"];
const WEB_TEXT: [&str; 2] = ["application/grpc-web-text", "application/grpc-web-text+proto"];

/// What a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// gRPC or grpc-web, in a form that the edge understands.
    Grpc,
    /// gRPC with another codec than protobuf, or native gRPC over HTTP/1.1, which cannot carry it.
    Unsupported,
    /// Not gRPC: files.
    Plain,
}

/// Normalises the headers that decide, and decides.
pub(crate) fn tune<B>(request: &mut Request<B>) -> Speech {
    // What most callers send is in that form already.
    match request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/grpc") if request.version() == Version::HTTP_2 => return Speech::Grpc,
        None => return Speech::Plain,
        _ => {}
    }
    let kind = media_types(request.headers(), &CONTENT_TYPE).next();
    let Some(kind) = kind.filter(|kind| kind.starts_with("application/grpc")) else {
        return Speech::Plain;
    };
    let (ours, otherwise) = if WEB_TEXT.contains(&&*kind) {
        (WEB_TEXT[1], accepted(request.headers()))
    } else if WEB_BINARY.contains(&&*kind) {
        (WEB_BINARY[1], accepted(request.headers()))
    } else if GRPC.contains(&&*kind) && request.version() == Version::HTTP_2 {
        (GRPC[0], None)
    } else {
        return Speech::Unsupported;
    };
    set(request.headers_mut(), ours, otherwise.unwrap_or(ours));
    Speech::Grpc
}

/// The kind of grpc-web that the caller asks for; without a word it is the kind it sent.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    media_types(headers, &ACCEPT).find_map(|kind| match &*kind {
        kind if WEB_TEXT.contains(&kind) => Some(WEB_TEXT[1]),
        kind if WEB_BINARY.contains(&kind) => Some(WEB_BINARY[1]),
        _ => None,
    })
}

fn media_types<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Cow<'a, str>> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(bare)
}

/// Without parameters, in lower case: media types have no case (RFC 9110, section 8.3.1).
fn bare(kind: &str) -> Cow<'_, str> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => kind.to_ascii_lowercase().into(),
        false => kind.into(),
    }
}

fn set(headers: &mut HeaderMap, content_type: &'static str, accept: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned(version: Version, headers: &[(&str, &str)]) -> (Speech, String, String) {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("valid");
        let speech = tune(&mut request);
        let text = |name| {
            let value = request.headers().get(name);
            value.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
        };
        (speech, text("content-type"), text("accept"))
    }

    #[test]
    fn parameters_and_case_do_not_matter() {
        let sent = "Application/gRPC-Web+Proto; charset=utf-8";
        let (speech, kind, accept) = tuned(Version::HTTP_11, &[("content-type", sent)]);
        assert_eq!(speech, Speech::Grpc);
        assert_eq!(kind, "application/grpc-web+proto");
        assert_eq!(accept, "application/grpc-web+proto");
    }

    #[test]
    fn a_text_request_gets_text_unless_it_asks_for_binary() {
        let text = ("content-type", "application/grpc-web-text");
        for (accept, answer) in [
            ("*/*", "application/grpc-web-text+proto"),
            ("application/grpc-web-text;q=1, */*", "application/grpc-web-text+proto"),
            ("application/grpc-web", "application/grpc-web+proto"),
        ] {
            let (_, _, chosen) = tuned(Version::HTTP_11, &[text, ("accept", accept)]);
            assert_eq!(chosen, answer, "{accept}");
        }
    }

    #[test]
    fn native_grpc_needs_http_2() {
        let grpc = [("content-type", "application/grpc")];
        assert_eq!(tuned(Version::HTTP_2, &grpc).0, Speech::Grpc);
        assert_eq!(tuned(Version::HTTP_11, &grpc).0, Speech::Unsupported);
    }

    #[test]
    fn other_codecs_are_unsupported_and_other_types_are_plain() {
        let kind = |value| tuned(Version::HTTP_2, &[("content-type", value)]).0;
        assert_eq!(kind("application/grpc+json"), Speech::Unsupported);
        assert_eq!(kind("application/grpc-web+thrift"), Speech::Unsupported);
        assert_eq!(kind("application/json"), Speech::Plain);
        assert_eq!(tuned(Version::HTTP_2, &[]).0, Speech::Plain);
    }
}
