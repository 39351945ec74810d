//! HTTP/2 spoken by hand, so that a test can break every rule of it. Works over any stream. Must not know gRPC.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client says first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kind of a frame: a piece of a body.
pub const DATA: u8 = 0;
/// Kind of a frame: begins a stream, or ends it with trailers.
pub const HEADERS: u8 = 1;
/// Kind of a frame: takes a stream back.
pub const RST_STREAM: u8 = 3;
/// Kind of a frame: what the sender allows.
pub const SETTINGS: u8 = 4;
/// Kind of a frame: asks for an answer.
pub const PING: u8 = 6;
/// Kind of a frame: the connection takes no more streams.
pub const GO_AWAY: u8 = 7;
/// Kind of a frame: more of a header block.
pub const CONTINUATION: u8 = 9;
/// Flag: nothing follows in this direction.
pub const END_STREAM: u8 = 1;
/// Flag: the header block is whole.
pub const END_HEADERS: u8 = 4;
/// The error code by which a server says that it has had enough (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// One frame (RFC 9113, section 4.1).
///
/// # Panics
/// For a payload of four gigabytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head[..], payload].concat()
}

/// A header block without indexing or Huffman (RFC 7541, section 6.2.2).
#[must_use]
pub fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
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
        block.push(seven_bits(value % 128) | 0x80);
        value /= 128;
    }
    block.push(seven_bits(value));
}

fn seven_bits(value: usize) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// Greets as a client does.
///
/// # Panics
/// When the connection is closed already.
pub async fn greet(stream: &mut (impl AsyncWrite + Unpin)) {
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&greeting).await.expect("open");
}

/// How the server ended the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With a GOAWAY of this error code.
    GoAway(u32),
    /// Without a word.
    Closed,
    /// Not within the limit.
    Open,
}

/// Reads frames until the connection ends; the first GOAWAY with an error counts.
pub async fn end(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> End {
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
pub async fn flood(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8], times: usize, patience: Duration) {
    for _ in 0..times {
        match tokio::time::timeout(patience, stream.write_all(piece)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    let _ = tokio::time::timeout(patience, stream.flush()).await;
}
