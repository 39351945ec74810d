//! Whatever bytes a browser sends, in whatever pieces: what comes out of grpc-web and the check of frames is
//! judged like the whole body by a second, simple reading of the specification.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt};

use super::request_body::{WaitingRoom, Watched, read_one};
use crate::frame::{Arity, BodyFault};

const LIMIT: usize = 40;

/// Bodies that are nearly right: rows of messages with now and then a wrong flag, length or end.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let flag = prop_oneof![8 => Just(0_u8), 2 => Just(1), 1 => any::<u8>()];
    let message = (flag, prop::collection::vec(any::<u8>(), 0..LIMIT + 5), -1..=1_i32, 0..20_u8).prop_map(
        |(flag, payload, off, luck)| {
            let length = u32::try_from(payload.len()).unwrap_or(0);
            let length = if luck == 0 { length.saturating_add_signed(off) } else { length };
            [&[flag], &length.to_be_bytes()[..], &payload].concat()
        },
    );
    let row = prop::collection::vec(message, 0..4).prop_map(|messages| messages.concat());
    let cut = (row, 0..60_usize).prop_map(|(mut row, cut)| {
        if cut < 12 {
            row.truncate(row.len().saturating_sub(cut));
        }
        row
    });
    prop_oneof![4 => cut, 1 => prop::collection::vec(any::<u8>(), 0..80)]
}

/// The body in pieces that end anywhere.
fn pieces(body: &[u8], mut cuts: Vec<usize>) -> Vec<Bytes> {
    cuts.iter_mut().for_each(|cut| *cut %= body.len() + 1);
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|it| Bytes::copy_from_slice(&body[it[0]..it[1]])).collect()
}

fn streamed(pieces: Vec<Bytes>) -> Body {
    let frames = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

/// The second reading: the lengths of the messages, or that the body is none.
fn is_well_formed(mut body: &[u8], arity: Arity) -> bool {
    let mut messages = 0;
    while !body.is_empty() {
        let Some((prefix, rest)) = body.split_at_checked(5) else { return false };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if prefix[0] > 1 || length > LIMIT || rest.len() < length {
            return false;
        }
        messages += 1;
        body = &rest[length..];
    }
    arity == Arity::Many || messages == 1
}

async fn read(body: Body, arity: Arity) -> Result<Bytes, BodyFault> {
    if arity == Arity::One {
        return Ok(read_one(body, LIMIT, &WaitingRoom::new(1 << 20)).await?.0);
    }
    let whole = Watched::new(body, LIMIT).0.collect().await?;
    Ok(whole.to_bytes())
}

/// What a call's body becomes behind tonic-web; `None` when the call does not get there.
async fn through_grpc_web(kind: &'static str, body: Body, arity: Arity) -> Option<Result<Bytes, BodyFault>> {
    let seen = Arc::new(Mutex::new(None));
    let inner = {
        let seen = seen.clone();
        tower::service_fn(move |request: Request<Body>| {
            let seen = seen.clone();
            async move {
                let read = read(request.into_body(), arity).await;
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        })
    };
    let request = Request::post("/a.B/C").header("content-type", kind).body(body).expect("valid");
    let response = GrpcWebLayer::new().layer(inner).oneshot(request).await;
    let Ok(response) = response;
    // An answer of any kind, read to its end: nothing hangs and nothing panics.
    let _ = response.into_body().collect().await;
    seen.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn arities() -> impl Strategy<Value = Arity> {
    prop_oneof![Just(Arity::One), Just(Arity::Many)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn binary_frames_are_judged_alike_however_they_are_cut(
        body in bodies(), cuts in prop::collection::vec(any::<usize>(), 0..6), arity in arities(),
    ) {
        let sent = streamed(pieces(&body, cuts));
        let read = block_on(through_grpc_web("application/grpc-web+proto", sent, arity)).expect("gets there");
        prop_assert_eq!(read.is_ok(), is_well_formed(&body, arity), "{:?}", read);
        if let Ok(read) = read {
            prop_assert_eq!(&read[..], &body[..], "as it was sent");
        }
    }

    #[test]
    fn text_frames_are_judged_alike_however_their_base64_is_cut(
        body in bodies(), cuts in prop::collection::vec(any::<usize>(), 0..6), arity in arities(),
    ) {
        let text = STANDARD.encode(&body);
        let sent = streamed(pieces(text.as_bytes(), cuts));
        let read = block_on(through_grpc_web("application/grpc-web-text", sent, arity)).expect("gets there");
        prop_assert_eq!(read.is_ok(), is_well_formed(&body, arity), "{:?}", read);
        if let Ok(read) = read {
            prop_assert_eq!(&read[..], &body[..], "as it was sent");
        }
    }

    #[test]
    fn text_that_is_no_base64_never_becomes_a_message(
        text in prop::collection::vec(any::<u8>(), 0..80), arity in arities(),
    ) {
        let sent = streamed(vec![Bytes::from(text.clone())]);
        let read = block_on(through_grpc_web("application/grpc-web-text", sent, arity));
        if let Some(Ok(read)) = read {
            prop_assert!(is_well_formed(&read, arity), "{:?} became {:?}", text, read);
        }
    }
}
