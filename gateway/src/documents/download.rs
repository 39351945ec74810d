//! Bytes go out: whole or a range, opened piece by piece as they are read, with headers that let no
//! browser run them. Must not know who reads.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use caremesh_mesh::ticket::Ticket;
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;

use super::Inner;
use super::parts::{Facts, range};
use super::problem::Problem;
use super::upload::{facts, place};
use super::vault::{Drawer, Piece};
use crate::limits::Seat;

impl Inner {
    /// Gives the document, or the range of it that is asked for.
    pub(super) async fn download(
        &self,
        ticket: &Ticket,
        parts: &Parts,
        seat: Seat<String>,
    ) -> Result<Response<Body>, Problem> {
        let unknown =
            || Problem::new(StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND", "The document is not there.");
        let drawer = self.vault.find(place(ticket)).await?.ok_or_else(unknown)?;
        let facts = facts(&drawer).await?.ok_or_else(unknown)?;
        let asked = parts.headers.get(header::RANGE).and_then(|it| it.to_str().ok());
        let asked = asked.and_then(|it| range(it, facts.size_bytes)).transpose();
        let asked = asked.map_err(|_| unsatisfiable(&facts))?;
        let (from, to) = asked.unwrap_or((0, facts.size_bytes));

        let mut response = Response::new(Body::empty());
        describe(response.headers_mut(), &facts, to - from);
        if asked.is_some() {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {from}-{}/{}", to - 1, facts.size_bytes);
            if let Ok(told) = HeaderValue::try_from(told) {
                response.headers_mut().insert(header::CONTENT_RANGE, told);
            }
        }
        if parts.method == Method::GET {
            *response.body_mut() = content(drawer, from, to, seat).await?;
        }
        Ok(response)
    }
}

/// A person's document is for that person's screen: kept nowhere, run nowhere, guessed at by nobody.
fn describe(headers: &mut HeaderMap, facts: &Facts, length: u64) {
    if let Ok(kind) = HeaderValue::try_from(&facts.media_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", facts.sha256)) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CONTENT_LENGTH, length.into());
    for (name, value) in [
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn content(drawer: Drawer, from: u64, to: u64, seat: Seat<String>) -> Result<Body, Problem> {
    let pieces = drawer.pieces().await?.into_iter();
    let wanted: Vec<Piece> = pieces.filter(|it| it.offset < to && it.offset + it.length > from).collect();
    let shared = Arc::new((drawer, seat));
    let frames = futures::stream::iter(wanted).then(move |piece| {
        let shared = Arc::clone(&shared);
        // A piece that cannot be opened ends the body short of its length: the reader sees it.
        async move { shared.0.get(piece.offset).await.map(|bytes| cut(piece, &bytes, from, to)) }
    });
    let frames = frames.map_ok(Frame::data).map_err(io::Error::other);
    Ok(Body::new(StreamBody::new(frames)))
}

/// What of a piece lies between `from` and `to`.
fn cut(piece: Piece, bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let within = |at: u64| {
        let at = at.saturating_sub(piece.offset).min(piece.length);
        usize::try_from(at).unwrap_or(bytes.len()).min(bytes.len())
    };
    bytes.slice(within(from)..within(to))
}

fn unsatisfiable(facts: &Facts) -> Problem {
    let text = "The document has no such range.";
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "FIELD_INVALID", text);
    match HeaderValue::try_from(format!("bytes */{}", facts.size_bytes)) {
        Ok(told) => problem.header(header::CONTENT_RANGE, told),
        Err(_) => problem,
    }
}
