//! What a test says by hand to break the rules of HTTP/2: the kit's frames, and a call to the probe.

pub(crate) use caremesh_testkit::http2::*;

/// The headers of a call to the probe's Echo.
pub(crate) fn echo_headers(token: &str) -> Vec<u8> {
    header_block(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/caremesh.probe.v1.ProbeService/Echo"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &format!("Bearer {token}")),
    ])
}
