//! The words of the ledger: what is asked of it (a posting of movements), what it remembers (holds and what was
//! captured) and what it writes (entries, each with the difference it makes to one layer).

use std::collections::BTreeMap;

use caremesh_kernel::{
    AccountId, Date, DateRange, EventId, HoldId, LayerId, MemberId, PostingId, TermId, Timestamp,
};

use crate::domain::account::{AccountKey, CauseId, Grant, LayerKey};

/// The insured event that a leg belongs to. The episode decides no money and is therefore not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Owned by the service that recorded the event.
    pub id: EventId,
    /// The day it happened, in the policy's zone; it chooses the account.
    pub date: Date,
    /// Whose event it is.
    pub member: MemberId,
    /// Relatedness to other events, as an opaque keyed hash.
    pub cause: Option<CauseId>,
}

/// Where a policy term stands with respect to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermState {
    /// Draws are taken for events of the term.
    Open,
    /// The term has ended; claims for events of the term are still taken.
    RunOff,
    /// Filing and appeal periods are over: only reversals and releases.
    Closed,
}

/// Whether the patient had cover on the day of the event; resolved by the use case from the member's own dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverState {
    /// The member was covered on the event date.
    Covered,
    /// The policy was not in force, or the member was not on it, on the event date.
    NotCovered,
}

/// What the ledger must know of the term it posts to.
#[derive(Clone, Debug)]
pub struct Term {
    /// The term of the event date; every account of a posting belongs to it or to [`Self::first`].
    pub id: TermId,
    /// The policy's first term, which keeps lifetime and rolling accounts.
    pub first: TermId,
    /// Its days, half-open, in the policy's zone.
    pub days: DateRange,
    /// Whether it still takes draws.
    pub state: TermState,
    /// Cover of the posting's member on its event date.
    pub cover: CoverState,
}

/// Who asks for a posting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The service that owns the resource, `svc-claims`.
    pub service: String,
    /// The claim, order or appointment; opaque here.
    pub resource: String,
}

/// A posting: movements that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Its id.
    pub id: PostingId,
    /// The decision, order or booking that asks.
    pub source: Source,
    /// Revision of the source's decision.
    pub revision: u32,
    /// The insured event.
    pub event: Event,
    /// What to do, in this order; a reversal stands before the capture that needs its room.
    pub movements: Vec<Movement>,
    /// The versions the caller priced against. A fresh draw must name the version of each account it draws on.
    pub expected: BTreeMap<AccountId, i64>,
    /// The instant of posting. A hold that expires at this very instant has expired.
    pub now: Timestamp,
}

/// One movement of a posting.
#[derive(Clone, Debug)]
pub struct Movement {
    /// Which part of the revision it is: the number of the shipment, of the part payment.
    pub part: u32,
    /// What is done.
    pub action: Action,
}

/// What a movement does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Reserve room until an instant.
    Hold {
        /// Id of the new hold.
        id: HoldId,
        /// The first instant at which the hold is no longer good; later than the posting.
        expires: Timestamp,
        /// What is reserved.
        legs: Vec<Draw>,
    },
    /// Use room: what a hold keeps, or without a hold what is free. More than was held is a second movement.
    Capture {
        /// The hold it consumes; none draws on what is free.
        hold: Option<HoldId>,
        /// What is used.
        legs: Vec<Draw>,
        /// True: this is the last part; what the hold still keeps is released.
        last: bool,
    },
    /// Give back what a hold still keeps.
    Release {
        /// The hold to close.
        hold: HoldId,
    },
    /// Give back what one posting of this source captured, to the layer it came from.
    Reverse {
        /// The posting that captured.
        of: PostingId,
        /// What is given back.
        legs: Vec<Draw>,
        /// True when the event did not happen at all: only then do counts and days come back.
        event_undone: bool,
    },
    /// Grant layers that restore exhausted accounts, once per account and rule.
    Restore {
        /// The layers and their amounts.
        grants: Vec<Grant>,
    },
    /// Grant, raise or lower layers.
    Grant {
        /// The layers; a negative amount lowers.
        grants: Vec<Grant>,
        /// What recovers an overdraft that lowering leaves (a receivable, a clawed-back bonus). Without it a layer
        /// cannot be lowered below its use.
        recovery: Option<String>,
    },
}

/// One leg of a movement: so much of a measure on one layer, for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The account.
    pub account: AccountKey,
    /// The layer of that account.
    pub layer: LayerKey,
    /// More than 0: minor units, visits or days, as the account's measure says.
    pub amount: i64,
    /// The source's own line number.
    pub line: u32,
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// It keeps what its legs say, until it expires.
    Open,
    /// All of it was captured or released.
    Closed,
    /// Time ended it and its room was given back.
    Expired,
}

/// Room that was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Who reserved.
    pub source: Source,
    /// For which event.
    pub event: Event,
    /// When it was posted.
    pub posted: Timestamp,
    /// The first instant at which it is no longer good.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: HoldState,
    /// What it keeps, per layer and line.
    pub legs: Vec<HoldLeg>,
}

impl Hold {
    /// Whether time has ended it: the instant of expiry is already too late.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.state == HoldState::Expired || now >= self.expires
    }
}

/// What a hold keeps of one layer for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldLeg {
    /// The account.
    pub account: AccountId,
    /// The layer.
    pub layer: LayerId,
    /// The source's line.
    pub line: u32,
    /// What was reserved at first.
    pub amount: i64,
    /// What has been captured of it, out of the reservation or afresh after expiry.
    pub captured: i64,
    /// What has been given back, by release or by expiry.
    pub released: i64,
}

impl HoldLeg {
    /// What it still reserves.
    #[must_use]
    pub fn kept(&self) -> i64 {
        self.amount - self.captured.saturating_add(self.released).min(self.amount)
    }

    /// What may still be captured in the hold's name: as [`Self::kept`], and after expiry what expiry gave back.
    #[must_use]
    pub fn capturable(&self, expired: bool) -> i64 {
        if expired { self.amount - self.captured } else { self.kept() }
    }
}

/// What one posting of the source has captured and is not yet reversed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The posting that captured.
    pub posting: PostingId,
    /// The account it came from.
    pub account: AccountId,
    /// The layer it came from.
    pub layer: LayerId,
    /// The source's line.
    pub line: u32,
    /// Captured less reversed, at least 0.
    pub net: i64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// The limit of an account at its first touch.
    Open,
    /// Room reserved.
    Hold,
    /// Room used.
    Capture,
    /// Room given back by the holder.
    Release,
    /// Room given back by time.
    Expire,
    /// Use given back.
    Reverse,
    /// A restored layer.
    Restore,
    /// A layer granted, raised or lowered.
    Grant,
}

/// One line of the journal: the difference it makes to one layer. Never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Index of the movement that wrote it; none for what the ledger did by itself (openings, expiries).
    pub movement: Option<u32>,
    /// The account.
    pub account: AccountId,
    /// The layer.
    pub layer: LayerId,
    /// The source's line; 0 where there is none.
    pub line: u32,
    /// The hold it belongs to.
    pub hold: Option<HoldId>,
    /// The posting whose capture it gives back.
    pub reverses: Option<PostingId>,
    /// The insured event (of the hold, when time released it).
    pub event: Event,
    /// Difference to `granted`.
    pub granted: i64,
    /// Difference to `reserved`.
    pub reserved: i64,
    /// Difference to `used`.
    pub used: i64,
    /// Difference to `overdrawn`.
    pub overdrawn: i64,
    /// What recovers an overdraft; set whenever `overdrawn` rises.
    pub recovery: Option<String>,
    /// The plan's rule under which a layer was granted or restored.
    pub rule: Option<String>,
}

impl Entry {
    /// An entry that makes no difference yet.
    pub(super) fn blank(
        kind: EntryKind,
        account: AccountId,
        layer: LayerId,
        line: u32,
        event: Event,
    ) -> Self {
        let (granted, reserved, used, overdrawn) = (0, 0, 0, 0);
        let (movement, hold, reverses, recovery, rule) = (None, None, None, None, None);
        Self {
            kind,
            movement,
            account,
            layer,
            line,
            hold,
            reverses,
            event,
            granted,
            reserved,
            used,
            overdrawn,
            recovery,
            rule,
        }
    }
}

/// The kinds of movement that are guarded for ever against being posted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineKind {
    /// [`Action::Hold`].
    Hold,
    /// [`Action::Capture`].
    Capture,
    /// [`Action::Release`].
    Release,
    /// [`Action::Reverse`].
    Reverse,
    /// [`Action::Restore`].
    Restore,
    /// [`Action::Grant`].
    Grant,
}

/// Unique for ever within a source: the same share of the same line is never posted twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineKey {
    /// Index of the movement within the posting; the one field that is not part of the guard.
    pub movement: u32,
    /// The source's line; 0 for a movement without lines.
    pub line: u32,
    /// Revision of the source's decision.
    pub revision: u32,
    /// What was done.
    pub kind: LineKind,
    /// Part of that revision.
    pub part: u32,
}
