//! The prescription as a whole: from an announced document to a verified one, and the lease under which a pharmacist works on
//! it. Knows no document and no clock.

use caremesh_kernel::{PharmacistId, Timestamp};

use super::StateForbids;

/// Where a prescription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaperState {
    /// A ticket was given; the document is not there yet.
    AwaitingDocument,
    /// The document waits for a pharmacist.
    Uploaded,
    /// A pharmacist works on it.
    InVerification,
    /// Its items can be filled, each as it stands. A signed one begins here.
    Verified,
    /// A pharmacist refused it.
    Rejected,
    /// Nobody completed or verified it in time.
    Expired,
    /// Taken back before anything was handed out.
    Cancelled,
}

impl PaperState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::AwaitingDocument,
        Self::Uploaded,
        Self::InVerification,
        Self::Verified,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The state after `next`, or a refusal: whatever this table does not name cannot happen. Work on a paper ends where it
    /// began when its lease ends, so that somebody else can take it.
    ///
    /// # Errors
    /// [`StateForbids`].
    pub fn to(self, next: Self) -> Result<Self, StateForbids> {
        use PaperState::{
            AwaitingDocument, Cancelled, Expired, InVerification, Rejected, Uploaded, Verified,
        };
        match (self, next) {
            (AwaitingDocument, Uploaded | Expired | Cancelled)
            | (Uploaded, InVerification | Expired | Cancelled)
            | (InVerification, InVerification | Uploaded | Verified | Rejected)
            | (Verified, Cancelled) => Ok(next),
            _ => Err(StateForbids { state: self.name() }),
        }
    }

    /// Where it stands at an instant: time alone ends what waits, at the instant of expiry. Work under way is not cut off.
    #[must_use]
    pub fn at(self, expires: Option<Timestamp>, now: Timestamp) -> Self {
        let waits = matches!(self, Self::AwaitingDocument | Self::Uploaded);
        if waits && expires.is_some_and(|expires| now >= expires) { Self::Expired } else { self }
    }

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwaitingDocument => "AWAITING_DOCUMENT",
            Self::Uploaded => "UPLOADED",
            Self::InVerification => "IN_VERIFICATION",
            Self::Verified => "VERIFIED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Where a prescription comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Signed in a consultation.
    Consultation,
    /// A photo or PDF of paper.
    Paper,
}

impl Source {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consultation => "CONSULTATION",
            Self::Paper => "PAPER",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Consultation, Self::Paper].into_iter().find(|source| source.name() == name)
    }
}

/// Who works on a paper, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub pharmacist: PharmacistId,
    /// The first instant at which it is anybody's again.
    pub until: Timestamp,
}

impl Lease {
    /// Whether it is this pharmacist's at an instant.
    #[must_use]
    pub fn is_held_by(&self, pharmacist: PharmacistId, now: Timestamp) -> bool {
        self.pharmacist == pharmacist && now < self.until
    }
}

/// Why paper is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It cannot be read.
    Unreadable,
    /// It was too old when it came.
    Expired,
    /// It is for somebody else.
    OtherPerson,
    /// It was changed.
    Altered,
    /// It is something else.
    NotAPrescription,
    /// It was used before.
    Duplicate,
}

impl Rejection {
    const ALL: [Self; 6] = [
        Self::Unreadable,
        Self::Expired,
        Self::OtherPerson,
        Self::Altered,
        Self::NotAPrescription,
        Self::Duplicate,
    ];

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "UNREADABLE",
            Self::Expired => "EXPIRED",
            Self::OtherPerson => "OTHER_PERSON",
            Self::Altered => "ALTERED",
            Self::NotAPrescription => "NOT_A_PRESCRIPTION",
            Self::Duplicate => "DUPLICATE",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}
