//! The request body on its way to an upstream: one message is read whole first, a stream is watched
//! as it passes. Must not know messages, only their frames.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::body::Body;

use crate::frame::{Arity, BodyFault, FrameCheck};
use crate::refuse::read_out;

/// Bytes of all request bodies that wait for their last byte, bounded over the whole gateway, so
/// that many slow senders of large messages cannot fill the memory.
#[derive(Debug, Clone)]
pub(crate) struct WaitingRoom {
    used: Arc<AtomicUsize>,
    limit_bytes: usize,
}

impl WaitingRoom {
    /// An empty room for `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { used: Arc::default(), limit_bytes }
    }

    fn seat(&self) -> Seat {
        Seat { room: self.clone(), bytes: 0 }
    }
}

/// What one body holds of the room; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    room: WaitingRoom,
    bytes: usize,
}

impl Seat {
    fn widen(&mut self, bytes: usize) -> Result<(), BodyFault> {
        self.bytes += bytes;
        let used = self.room.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used > self.room.limit_bytes { Err(BodyFault::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the one message of a unary or server-streaming call to its end. Its seat is to be kept for as long as the
/// message waits to be sent.
///
/// The upstream never sees half a call: a slow sender, a truncated or an oversized message costs it
/// nothing, and no stream on the shared connection has to be reset for it (a burst of resets would
/// close that connection for everybody: h2 counts them).
///
/// # Errors
/// The rule that the body breaks, or a body that could not be read (bad base64, sender gone).
pub(crate) async fn read_one(
    mut body: Body,
    limit_bytes: usize,
    room: &WaitingRoom,
) -> Result<(Bytes, Seat), BodyFault> {
    let whole = collect(&mut body, limit_bytes, room).await;
    if whole.is_err() {
        read_out(body);
    }
    whole
}

async fn collect(
    body: &mut Body,
    limit_bytes: usize,
    room: &WaitingRoom,
) -> Result<(Bytes, Seat), BodyFault> {
    let mut check = FrameCheck::new(Arity::One, limit_bytes);
    let mut seat = room.seat();
    let mut whole = Chunks::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyFault::Malformed("the body could not be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        check.feed(&data)?;
        seat.widen(data.len())?;
        whole.push(data);
    }
    check.finish()?;
    Ok((whole.join(), seat))
}

/// Joins chunks without a copy when there is only one, which is the usual case.
#[derive(Default)]
struct Chunks {
    first: Option<Bytes>,
    rest: BytesMut,
}

impl Chunks {
    fn push(&mut self, data: Bytes) {
        match &self.first {
            None if self.rest.is_empty() => self.first = Some(data),
            _ => {
                if let Some(first) = self.first.take() {
                    self.rest.extend_from_slice(&first);
                }
                self.rest.extend_from_slice(&data);
            }
        }
    }

    fn join(self) -> Bytes {
        self.first.unwrap_or_else(|| self.rest.freeze())
    }
}

/// Where a watched stream leaves the reason for which it broke off.
pub(crate) type FaultCell = Arc<OnceLock<BodyFault>>;

/// A client stream that is watched while it passes, frame by frame.
pub(crate) struct Watched {
    inner: Body,
    check: FrameCheck,
    fault: FaultCell,
}

impl Watched {
    /// Watches `inner`; a broken rule ends it and is left in the returned cell.
    pub(crate) fn new(inner: Body, limit_bytes: usize) -> (Self, FaultCell) {
        let fault = FaultCell::default();
        let check = FrameCheck::new(Arity::Many, limit_bytes);
        (Self { inner, check, fault: fault.clone() }, fault)
    }

    fn broken(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let _ = self.fault.set(fault);
        Poll::Ready(Some(Err(fault)))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return self.broken(BodyFault::Malformed("the body could not be read")),
            None => {
                return match self.check.finish() {
                    Ok(()) => Poll::Ready(None),
                    Err(fault) => self.broken(fault),
                };
            }
        };
        if let Some(data) = frame.data_ref()
            && let Err(fault) = self.check.feed(data)
        {
            return self.broken(fault);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    // Never true before `finish` has looked at the end of the stream.
    fn is_end_stream(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    fn chunked(chunks: &[&'static [u8]]) -> Body {
        let frames: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(chunk))))
            .collect();
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_message_in_pieces_arrives_whole() {
        let body = chunked(&[&[0, 0, 0], &[0, 3, b'a'], b"bc"]);
        let (bytes, _) = read_one(body, 10, &WaitingRoom::new(100)).await.expect("well formed");
        assert_eq!(&bytes[..], [0, 0, 0, 0, 3, b'a', b'b', b'c']);
    }

    #[tokio::test]
    async fn waiting_bytes_are_bounded_and_given_back() {
        let room = WaitingRoom::new(8);
        let message = || Body::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 1, 7])));
        let held = read_one(message(), 10, &room).await.expect("fits");
        let fault = read_one(message(), 10, &room).await.expect_err("no room");
        assert_eq!(fault, BodyFault::NoRoom);
        drop(held);
        read_one(message(), 10, &room).await.expect("fits again");
    }

    #[tokio::test]
    async fn a_watched_stream_leaves_the_rule_it_broke() {
        let (watched, fault) = Watched::new(chunked(&[&[0, 0, 0, 0, 1, 7], &[0, 0]]), 10);
        assert!(watched.collect().await.is_err());
        assert!(matches!(fault.get(), Some(BodyFault::Malformed(_))));
    }
}
