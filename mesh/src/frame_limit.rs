//! Refuses a request message by the length its frame announces, before a byte of it is buffered. One
//! limit for every service, where tonic's own is set on each generated server apart. It reads frame
//! heads (one flag, four bytes of length) and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use crate::reason::CommonReason;
use crate::refusal::Refusal;

const HEAD: usize = 5;

/// A request body whose messages are at most `limit` bytes each.
#[derive(Debug)]
pub(crate) struct LimitedFrames<B = Incoming> {
    body: B,
    frames: Frames,
}

impl<B> LimitedFrames<B> {
    /// `body`, with messages of at most `limit` bytes.
    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self { body, frames: Frames { limit, head: [0; HEAD], filled: 0, rest: 0 } }
    }
}

impl<B> http_body::Body for LimitedFrames<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(Some(result)) = polled else { return polled.map(|_| None) };
        Poll::Ready(Some(match result {
            Err(error) => Err(Status::from_error(error.into())),
            Ok(frame) => match frame.data_ref().map(|data| self.frames.read(data)) {
                Some(Err(refusal)) => Err(refusal.into()),
                _ => Ok(frame),
            },
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Follows the frames of a body through chunks of any size.
#[derive(Debug)]
struct Frames {
    limit: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of the present message that are still to come.
    rest: usize,
}

impl Frames {
    fn read(&mut self, mut data: &[u8]) -> Result<(), Refusal> {
        while !data.is_empty() {
            if self.rest > 0 {
                let skip = self.rest.min(data.len());
                self.rest -= skip;
                data = &data[skip..];
                continue;
            }
            self.head[self.filled] = data[0];
            self.filled += 1;
            data = &data[1..];
            if self.filled == HEAD {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Refusal> {
        let [_, length @ ..] = self.head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.filled = 0;
        self.rest = length;
        if length <= self.limit {
            return Ok(());
        }
        let refusal = Refusal::new(CommonReason::MessageTooLarge);
        Err(refusal.metadata("limit_bytes", self.limit.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(length: usize) -> Vec<u8> {
        let head = u32::try_from(length).expect("a length").to_be_bytes();
        [&[0], head.as_slice(), &vec![7; length]].concat()
    }

    fn read(limit: usize, bytes: &[u8], cut: usize) -> Result<(), Refusal> {
        let mut frames = Frames { limit, head: [0; HEAD], filled: 0, rest: 0 };
        bytes.chunks(cut).try_for_each(|chunk| frames.read(chunk))
    }

    proptest! {
        #[test]
        fn a_message_over_the_limit_is_found_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(0_usize..40, 1..8),
            cut in 1_usize..20,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let fits = lengths.iter().all(|length| *length <= 20);
            prop_assert_eq!(read(20, &bytes, cut).is_ok(), fits);
        }
    }

    #[test]
    fn the_refusal_says_the_limit_and_comes_before_the_message() {
        let refusal = read(16, &[0, 0, 0, 0, 17], 5).expect_err("refused");
        assert_eq!(refusal.reason(), "MESSAGE_TOO_LARGE");
    }
}
