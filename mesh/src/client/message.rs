//! The message of a call, kept so that it can be sent more than once. Must not know why.

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, stream};
use http::request::Parts;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::{Status, body::Body};

use crate::layer::Request;

/// A larger request is sent once: it would have to be kept in memory until its answer.
const LARGEST_KEPT: usize = 64 * 1024;

/// What could be kept of a body.
pub(super) enum Kept {
    /// All of it.
    Whole(Bytes),
    /// More than may be kept: the body, to be sent once.
    TooMuch(Body),
}

/// Reads the body as far as it is there already. One that is not whole by then is a stream of a caller
/// who may wait for our answer, and is sent once.
pub(super) fn keep(mut body: Body) -> Kept {
    let mut message = BytesMut::new();
    loop {
        match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    message.extend_from_slice(&data);
                }
            }
            Some(None) => return Kept::Whole(message.freeze()),
            Some(Some(Err(error))) => return Kept::TooMuch(rest(message, Err(error))),
            None => return Kept::TooMuch(rest(message, Ok(body))),
        }
        if message.len() > LARGEST_KEPT {
            return Kept::TooMuch(rest(message, Ok(body)));
        }
    }
}

/// The same request once more.
pub(super) fn again(parts: &Parts, message: &Bytes) -> Request {
    Request::from_parts(parts.clone(), Body::new(Full::new(message.clone())))
}

/// What was read, and then what was not.
fn rest(read: BytesMut, body: Result<Body, Status>) -> Body {
    let first = stream::once(async move { Ok(Frame::data(read.freeze())) });
    match body {
        Ok(body) => {
            Body::new(StreamBody::new(first.chain(body.into_data_stream().map(|data| data.map(Frame::data)))))
        }
        Err(error) => Body::new(StreamBody::new(first.chain(stream::once(async move { Err(error) })))),
    }
}
