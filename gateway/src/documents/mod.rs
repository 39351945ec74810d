//! Documents on their way past the services: who shows a ticket that a service signed for them sends or
//! reads the bytes of one document. Must not know what a document is about, nor who may have a ticket.
//!
//! `PATCH /documents/<id>` with `upload-length` and `upload-offset` sends bytes from an offset on and may
//! be cut at any byte; `HEAD` says where to go on; the answer to the last byte carries the receipt for the
//! service (also later, to `HEAD`). `GET` reads, whole or a range; `DELETE` takes the document away. Offsets
//! and their headers are those of the tus protocol, version 1; creation is the service's part.

mod download;
mod parts;
mod problem;
mod store;
mod sweep;
mod upload;
mod vault;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::{Clock, SystemClock};
use caremesh_mesh::principal::{Authenticator, Credentials, Principal};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use caremesh_mesh::ticket::{DOCUMENTS_PATH, Grant, TICKET_HEADER, Ticket, Tickets};
use caremesh_mesh::tls::WorkloadIdentity;
use http::{Method, Request, Response};
use tonic::body::Body;

use crate::limits::{AddressKey, KeyedLimit, Seat, Seats};
use crate::refuse::read_out;
use crate::steps::address::CallerAddress;
use problem::Problem;
pub(crate) use sweep::{Rules, keep_swept};
pub(crate) use vault::Vault;

/// Documents that one caller may send or read at once.
const AT_ONCE: usize = 8;
/// How long the next piece of a body may take to come.
const STALL: Duration = Duration::from_secs(30);

/// The endpoint.
#[derive(Clone)]
pub(crate) struct Documents(Arc<Inner>);

struct Inner {
    vault: Vault,
    tickets: Tickets,
    authenticator: Arc<dyn Authenticator>,
    addresses: Arc<KeyedLimit<AddressKey>>,
    callers: Arc<KeyedLimit<String>>,
    seats: Seats<String>,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
}

/// What the endpoint shares with the rest of the edge.
pub(crate) struct Shares {
    pub(crate) identity: WorkloadIdentity,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) addresses: Arc<KeyedLimit<AddressKey>>,
    pub(crate) callers: Arc<KeyedLimit<String>>,
}

/// Whether a path is one of a document.
pub(crate) fn is_document(path: &str) -> bool {
    path.starts_with(DOCUMENTS_PATH)
}

impl Documents {
    /// Takes and gives the documents of `vault`, each of at most `max_bytes`.
    pub(crate) fn new(vault: Vault, max_bytes: u64, shares: Shares) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self(Arc::new(Inner {
            vault,
            tickets: Tickets::new(shares.identity, Arc::clone(&clock)),
            authenticator: shares.authenticator,
            addresses: shares.addresses,
            callers: shares.callers,
            seats: Seats::new(AT_ONCE),
            max_bytes,
            clock,
        }))
    }

    /// Answers one request for a document.
    pub(crate) async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        match self.0.admit(&parts).await {
            Ok(admitted) => Ok(self.0.carry(admitted, &parts, body).await.unwrap_or_else(Problem::answer)),
            Err(problem) => {
                read_out(body);
                Ok(problem.answer())
            }
        }
    }
}

/// A caller, what they may do, and their seat while they do it.
struct Admitted {
    ticket: Ticket,
    seat: Seat<String>,
}

impl Inner {
    /// Limits first, then the caller, then the ticket: guessing costs us nothing but the guess.
    async fn admit(&self, parts: &http::request::Parts) -> Result<Admitted, Problem> {
        if let Some(CallerAddress(address)) = parts.extensions.get().copied() {
            self.addresses.check(&address.into()).map_err(Problem::too_many)?;
        }
        let credentials = Credentials { headers: &parts.headers, peer: parts.extensions.get() };
        let principal = self.authenticator.caller(credentials).await.map_err(|it| Problem::of(&it))?;
        if principal.person().is_none() && principal.workload().is_none() {
            return Err(Problem::of(&Refusal::new(CommonReason::CredentialsMissing)));
        }
        let key = principal.caller_key();
        self.callers.check(&key).map_err(Problem::too_many)?;
        let ticket = self.ticket(parts, &principal)?;
        let seat = self.seats.take(key).ok_or_else(|| Problem::too_many(STALL))?;
        Ok(Admitted { ticket, seat })
    }

    fn ticket(&self, parts: &http::request::Parts, caller: &Principal) -> Result<Ticket, Problem> {
        let text = parts.headers.get(TICKET_HEADER).and_then(|it| it.to_str().ok());
        let text = text.ok_or_else(|| Problem::ticket("The header caremesh-ticket is missing."))?;
        // Which rule a ticket breaks is for its owner's service to know, and for nobody who tries.
        let ticket = self.tickets.verify(text, caller);
        let ticket = ticket.map_err(|_| Problem::ticket("The ticket is not good for this call."))?;
        let named = parts.uri.path().strip_prefix(DOCUMENTS_PATH).unwrap_or_default();
        if named != ticket.document.id.to_string() {
            return Err(Problem::ticket("The ticket is for another document."));
        }
        Ok(ticket)
    }

    async fn carry(
        &self,
        admitted: Admitted,
        parts: &http::request::Parts,
        body: Body,
    ) -> Result<Response<Body>, Problem> {
        let (ticket, mut body) = (&admitted.ticket, body);
        let answer = match (&parts.method, &ticket.grant) {
            (&Method::PATCH, Grant::Upload { .. }) => self.upload(ticket, &parts.headers, &mut body).await,
            (&Method::HEAD, Grant::Upload { .. }) => self.progress(ticket).await,
            (&Method::GET | &Method::HEAD, Grant::Download) => {
                self.download(ticket, parts, admitted.seat).await
            }
            (&Method::DELETE, Grant::Delete) => self.delete(ticket).await,
            _ => Err(Problem::method()),
        };
        // An answer that came early would be lost with a connection that is closed over unread bytes.
        read_out(body);
        answer
    }

    /// Gone, or was never there: who asks again because the answer was lost is told the same.
    async fn delete(&self, ticket: &Ticket) -> Result<Response<Body>, Problem> {
        self.vault.remove(&upload::place(ticket)).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::NO_CONTENT;
        Ok(response)
    }
}
