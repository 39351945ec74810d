//! Documents go past the services: a service signs a ticket for one document, the gateway takes or gives
//! the bytes and signs a receipt for what it stored. Bound to person, purpose and time; must not know
//! where bytes are kept nor what a purpose means.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use caremesh_kernel::{Clock, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::principal::Principal;
use crate::tls::{StatementError, WorkloadIdentity};

/// The request header that carries a ticket.
pub const TICKET_HEADER: &str = "caremesh-ticket";
/// The answer header that carries the receipt of a complete upload.
pub const RECEIPT_HEADER: &str = "caremesh-receipt";
/// Where the gateway takes and gives documents: this, then the document's id.
pub const DOCUMENTS_PATH: &str = "/documents/";
/// The only workload whose receipts are believed.
pub const RECEIPT_SIGNER: &str = "gateway";
/// No ticket lives longer: a day is enough to finish an upload over a bad line.
pub const MAX_LIFE_MS: i64 = 24 * 60 * 60 * 1_000;

const TICKET: &str = "caremesh-ticket-1";
const RECEIPT: &str = "caremesh-receipt-1";
const PURPOSE_MAX_CHARS: usize = 64;

/// Why a ticket or a receipt is not issued or not believed. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Signed wrongly, or by nobody of this mesh.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The life is not 1 ms to [`MAX_LIFE_MS`], the purpose is not 1 to 64 of `a-z`, `0-9`, `-`, or an
    /// upload allows no byte or no media type.
    #[error("the ticket's terms break a rule")]
    Terms,
    /// Its time has ended (half-open: the instant itself is too late).
    #[error("the ticket has expired")]
    Expired,
    /// It is somebody else's.
    #[error("the ticket is for another person")]
    NotTheHolder,
    /// A receipt of another service, or not signed by the gateway.
    #[error("the receipt is not one of the gateway for this service")]
    NotOurs,
}

/// Which document of which service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The service's own id of the document; random, never derived from a person.
    pub id: Uuid,
    /// What for, in the service's words (`prescription`): 1 to 64 of `a-z`, `0-9`, `-`. A ticket for one
    /// purpose does not open a document of another.
    pub purpose: String,
}

/// What may be done with the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grant {
    /// Sending its bytes, once.
    Upload {
        /// The most bytes it may have. 1 or more; the gateway has a limit of its own besides.
        max_bytes: u64,
        /// What it may be, by content and not by name (`image/jpeg`, `application/pdf`). 1 to 16.
        media_types: Vec<String>,
        /// The SHA-256 that the sender announced, lower-case hex; other bytes are refused. None: any.
        sha256: Option<String>,
    },
    /// Reading its bytes, whole or in ranges.
    Download,
    /// Taking it away for good.
    Delete,
}

/// What a service lets one person do. Made by [`Tickets::issue`], read by [`Tickets::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The service that signed it, from its certificate: documents of different services never meet.
    pub service: String,
    /// Which document.
    pub document: Document,
    /// What may be done with it.
    pub grant: Grant,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What the gateway has stored. A service that gets it back knows that the bytes are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The service whose ticket it was.
    pub service: String,
    /// Which document.
    pub document: Document,
    /// How many bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes, lower-case hex, taken while they streamed.
    pub sha256: String,
    /// What the content is, found in the content itself.
    pub media_type: String,
    /// When the last byte was stored.
    pub stored_at: Timestamp,
}

/// What is signed; the service is in the certificate beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    document: Document,
    grant: Grant,
    /// Digest of [`Principal::caller_key`], so that the ticket itself tells nobody whose it is.
    holder: String,
    expires_at: Timestamp,
}

/// Issues and verifies tickets and receipts in the name of a workload.
#[derive(Clone)]
pub struct Tickets {
    identity: WorkloadIdentity,
    clock: Arc<dyn Clock>,
}

impl Tickets {
    /// In the name of `identity`.
    #[must_use]
    pub fn new(identity: WorkloadIdentity, clock: Arc<dyn Clock>) -> Self {
        Self { identity, clock }
    }

    /// A ticket for `holder`, good for `life_ms` milliseconds from now.
    ///
    /// # Errors
    /// [`TicketError::Terms`], and [`StatementError::Unsigned`] when the key cannot sign.
    pub fn issue(
        &self,
        holder: &Principal,
        document: Document,
        grant: Grant,
        life_ms: i64,
    ) -> Result<String, TicketError> {
        if !(1..=MAX_LIFE_MS).contains(&life_ms) || !document.is_valid() || !grant.is_valid() {
            return Err(TicketError::Terms);
        }
        let expires_at = self.clock.now().plus_ms(life_ms);
        self.sign(TICKET, &Claims { document, grant, holder: digest_of(holder), expires_at })
    }

    /// The ticket, if a workload of this mesh signed it, its time has not ended and `caller` is the one
    /// it was issued to.
    ///
    /// # Errors
    /// See [`TicketError`].
    pub fn verify(&self, ticket: &str, caller: &Principal) -> Result<Ticket, TicketError> {
        let (service, claims): (_, Claims) = self.read(TICKET, ticket)?;
        if self.clock.now() >= claims.expires_at {
            return Err(TicketError::Expired);
        }
        if claims.holder != digest_of(caller) {
            return Err(TicketError::NotTheHolder);
        }
        if !claims.document.is_valid() || !claims.grant.is_valid() {
            return Err(TicketError::Terms);
        }
        let Claims { document, grant, expires_at, .. } = claims;
        Ok(Ticket { service, document, grant, expires_at })
    }

    /// Signs what was stored. Only [`RECEIPT_SIGNER`]'s signature will be believed.
    ///
    /// # Errors
    /// [`StatementError::Unsigned`] when the key cannot sign.
    pub fn receipt(&self, stored: &Receipt) -> Result<String, TicketError> {
        self.sign(RECEIPT, stored)
    }

    /// What the gateway has stored for this service. A receipt does not expire by itself; it is as good
    /// as the gateway's certificate was, so a service keeps what it says, not the receipt.
    ///
    /// # Errors
    /// See [`TicketError`].
    pub fn verify_receipt(&self, receipt: &str) -> Result<Receipt, TicketError> {
        let (signer, receipt): (_, Receipt) = self.read(RECEIPT, receipt)?;
        let ours = signer == RECEIPT_SIGNER && receipt.service == self.identity.id().service();
        if ours { Ok(receipt) } else { Err(TicketError::NotOurs) }
    }

    fn sign(&self, kind: &str, content: &impl Serialize) -> Result<String, TicketError> {
        let content = serde_json::to_vec(content).map_err(|_| StatementError::Unsigned)?;
        Ok(self.identity.sign(kind, &content)?)
    }

    fn read<T: DeserializeOwned>(&self, kind: &str, text: &str) -> Result<(String, T), TicketError> {
        let (signer, content) = self.identity.verify(kind, text, self.clock.now())?;
        let content = serde_json::from_slice(&content).map_err(|_| StatementError::Malformed)?;
        Ok((signer.service().to_owned(), content))
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Document {
    fn is_valid(&self) -> bool {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=PURPOSE_MAX_CHARS).contains(&self.purpose.len()) && self.purpose.chars().all(known)
    }
}

impl Grant {
    fn is_valid(&self) -> bool {
        match self {
            Self::Upload { max_bytes, media_types, .. } => {
                *max_bytes > 0 && (1..=16).contains(&media_types.len())
            }
            Self::Download | Self::Delete => true,
        }
    }
}

fn digest_of(holder: &Principal) -> String {
    let digest = digest(&SHA256, holder.caller_key().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
