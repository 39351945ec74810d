//! Bytes come in: from an offset on, in sealed pieces, hashed as they stream, judged by their content.
//! Whatever has arrived when a connection breaks is kept. Must not know who sends.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use caremesh_mesh::ticket::{Grant, RECEIPT_HEADER, Receipt, Ticket};
use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tonic::body::Body;

use super::parts::{Facts, hex, sniff};
use super::problem::{Problem, UPLOAD_LENGTH, UPLOAD_OFFSET};
use super::vault::{Drawer, VaultError};
use super::{Inner, STALL};

/// A piece has at least so many bytes, the last one excepted: few objects, and little memory a sender.
const PIECE_BYTES: usize = 256 * 1024;

/// One request holds its place no longer, however it drips. A sender on a bad line goes on with the next.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What a ticket and the gateway's own limit allow.
struct Terms<'a> {
    length: u64,
    media_types: &'a [String],
    sha256: Option<&'a str>,
}

/// A document that is being received.
struct Receiving<'a> {
    drawer: &'a Drawer,
    terms: &'a Terms<'a>,
    hash: Context,
    /// What is stored.
    offset: u64,
    /// What is not stored yet.
    waiting: Vec<u8>,
}

impl Inner {
    /// Takes bytes from the announced offset on.
    pub(super) async fn upload(
        &self,
        ticket: &Ticket,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Response<Body>, Problem> {
        let terms = self.terms(ticket, headers)?;
        let drawer = self.vault.find_or_make(place(ticket)).await?;
        if let Some(facts) = facts(&drawer).await? {
            // The answer to the last byte was lost, and the sender asks again.
            return self.complete(ticket, &facts);
        }
        let (hash, offset) = stored_so_far(&drawer).await?;
        if number(headers, &UPLOAD_OFFSET)? != offset {
            return Err(Problem::elsewhere(offset));
        }
        let mut receiving = Receiving { drawer: &drawer, terms: &terms, hash, offset, waiting: Vec::new() };
        receiving.receive(body).await?;
        if receiving.offset < terms.length {
            return Ok(progress(receiving.offset, None));
        }
        let facts = self.close(receiving).await?;
        self.complete(ticket, &facts)
    }

    /// Where an upload goes on, and its receipt when it is whole.
    pub(super) async fn progress(&self, ticket: &Ticket) -> Result<Response<Body>, Problem> {
        let Some(drawer) = self.vault.find(place(ticket)).await? else { return Ok(progress(0, None)) };
        match facts(&drawer).await? {
            Some(facts) => self.complete(ticket, &facts),
            None => {
                let pieces = drawer.pieces().await?;
                Ok(progress(pieces.iter().map(|it| it.length).sum(), None))
            }
        }
    }

    fn terms<'a>(&self, ticket: &'a Ticket, headers: &HeaderMap) -> Result<Terms<'a>, Problem> {
        let Grant::Upload { max_bytes, media_types, sha256 } = &ticket.grant else {
            return Err(Problem::method());
        };
        let length = number(headers, &UPLOAD_LENGTH)?;
        if length == 0 {
            return Err(Problem::field("upload-length must be 1 or more."));
        }
        if length > *max_bytes.min(&self.max_bytes) {
            return Err(too_large());
        }
        Ok(Terms { length, media_types, sha256: sha256.as_deref() })
    }

    /// The last byte is here: the whole is judged once more and remembered.
    async fn close(&self, receiving: Receiving<'_>) -> Result<Facts, Problem> {
        let (drawer, terms) = (receiving.drawer, receiving.terms);
        let sha256 = hex(receiving.hash.finish().as_ref());
        if terms.sha256.is_some_and(|announced| announced != sha256) {
            drawer.clear().await?;
            let text = "The content is not the announced one; send it again from the beginning.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CONTENT_MISMATCH", text));
        }
        let first = drawer.get(0).await?;
        let media_type = sniff(&first).unwrap_or_default().to_owned();
        let facts = Facts { size_bytes: terms.length, sha256, media_type, stored_at: self.clock.now() };
        drawer.close(&serde_json::to_vec(&facts).map_err(|_| VaultError::Sealed)?).await?;
        Ok(facts)
    }

    fn complete(&self, ticket: &Ticket, facts: &Facts) -> Result<Response<Body>, Problem> {
        let receipt = self.tickets.receipt(&Receipt {
            service: ticket.service.clone(),
            document: ticket.document.clone(),
            size_bytes: facts.size_bytes,
            sha256: facts.sha256.clone(),
            media_type: facts.media_type.clone(),
            stored_at: facts.stored_at,
        });
        let receipt = receipt.ok().and_then(|it| HeaderValue::try_from(it).ok());
        let receipt = receipt.ok_or(VaultError::Cipher)?;
        Ok(progress(facts.size_bytes, Some(receipt)))
    }
}

impl Receiving<'_> {
    /// Reads the body to its end, or to where it breaks off.
    async fn receive(&mut self, body: &mut Body) -> Result<(), Problem> {
        let end = Instant::now() + LONGEST;
        loop {
            let patience = end.min(Instant::now() + STALL);
            let frame = match tokio::time::timeout_at(patience, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                // What has come is kept; the sender asks where to go on, or is told.
                Ok(Some(Err(_)) | None) | Err(_) => break,
            };
            let Ok(data) = frame.into_data() else { continue };
            let arrived = self.offset + self.waiting.len() as u64 + data.len() as u64;
            if arrived > self.terms.length {
                return Err(too_large());
            }
            self.waiting.extend_from_slice(&data);
            if self.waiting.len() >= PIECE_BYTES {
                self.store().await?;
            }
        }
        self.store().await
    }

    async fn store(&mut self) -> Result<(), Problem> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.offset == 0 {
            self.judge()?;
        }
        if !self.drawer.put(self.offset, &self.waiting).await? {
            return Err(Problem::elsewhere(self.offset));
        }
        self.hash.update(&self.waiting);
        self.offset += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Before the first byte is stored: is this what the ticket allows?
    fn judge(&self) -> Result<(), Problem> {
        let kind = sniff(&self.waiting);
        if kind.is_some_and(|kind| self.terms.media_types.iter().any(|allowed| allowed == kind)) {
            return Ok(());
        }
        let text = "The content is of a kind that the ticket does not allow.";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE_NOT_ALLOWED", text))
    }
}

/// `svc-pharmacy/prescription/<id>`: the service from its certificate, the rest from what it signed.
pub(super) fn place(ticket: &Ticket) -> String {
    format!("{}/{}/{}", ticket.service, ticket.document.purpose, ticket.document.id)
}

/// What is known of a document; None while it is not whole.
pub(super) async fn facts(drawer: &Drawer) -> Result<Option<Facts>, Problem> {
    let Some(bytes) = drawer.facts().await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).map_err(|_| VaultError::Sealed)?))
}

/// A hash cannot be kept between two requests, so what is there is read again: this also proves that it
/// can be.
async fn stored_so_far(drawer: &Drawer) -> Result<(Context, u64), Problem> {
    let (mut hash, mut offset) = (Context::new(&SHA256), 0);
    for piece in drawer.pieces().await? {
        hash.update(&drawer.get(piece.offset).await?);
        offset = piece.offset + piece.length;
    }
    Ok((hash, offset))
}

fn progress(offset: u64, receipt: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, offset.into());
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(receipt) = receipt {
        headers.insert(RECEIPT_HEADER, receipt);
    }
    response
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let value = headers.get(name).and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    value.ok_or_else(|| Problem::field("upload-length and upload-offset must be whole numbers."))
}

fn too_large() -> Problem {
    let text = "The document is larger than the ticket or this gateway allows, or than was announced.";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", text)
}

#[cfg(test)]
mod tests;
