//! HTTP/2 spoken by hand, so that a test can break every rule of it. Works over any stream.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The error code by which a server says that it has had enough (RFC 9113, section 7).
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// One frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head[..], payload].concat()
}

/// A header block without indexing or Huffman (RFC 7541, section 6.2.2).
pub(crate) fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, mut value: usize) {
    if let Ok(short @ 0..127) = u8::try_from(value) {
        return block.push(short);
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push(u8::try_from(value % 128).expect("seven bits") | 0x80);
        value /= 128;
    }
    block.push(u8::try_from(value).expect("seven bits"));
}

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

/// Greets as a client does.
pub(crate) async fn greet(stream: &mut (impl AsyncWrite + Unpin)) {
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&greeting).await.expect("open");
}

/// How the server ended the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a GOAWAY of this error code.
    GoAway(u32),
    /// Without a word.
    Closed,
    /// Not within the limit.
    Open,
}

/// Reads frames until the connection ends; the first GOAWAY with an error counts.
pub(crate) async fn end(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> End {
    let reading = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return End::Closed;
            }
            let size = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; size];
            if stream.read_exact(&mut payload).await.is_err() {
                return End::Closed;
            }
            if head[3] == GO_AWAY && payload[4..8] != [0; 4] {
                return End::GoAway(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
            }
        }
    };
    tokio::time::timeout(limit, reading).await.unwrap_or(End::Open)
}

/// Writes until all is sent, the peer has closed, or it takes nothing any more for `patience`.
pub(crate) async fn flood(
    stream: &mut (impl AsyncWrite + Unpin),
    piece: &[u8],
    times: usize,
    patience: Duration,
) {
    for _ in 0..times {
        match tokio::time::timeout(patience, stream.write_all(piece)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    let _ = tokio::time::timeout(patience, stream.flush()).await;
}
