//! A posting as it is answered: instructions with the legs as they were booked, those that the ledger booked by itself
//! (expired holds) first.

use std::collections::HashMap;

use caremesh_kernel::{EpisodeId, HoldId, LayerId, PostingId, TermId, Timestamp};

use super::post::Posted;
use crate::domain::account::{Account, AccountKey, Layer, LayerKey};
use crate::domain::ledger::{Entry, EntryKind, Event, LineKey, LineKind, Source};
use crate::store::ledger::Written;

/// A posting.
#[derive(Clone, Debug)]
pub struct Booked {
    /// Its id.
    pub id: PostingId,
    /// Who asked.
    pub source: Source,
    /// Revision of the source's decision.
    pub revision: u32,
    /// The insured event.
    pub event: Event,
    /// The episode of care.
    pub episode: Option<EpisodeId>,
    /// The term.
    pub term: TermId,
    /// What was done.
    pub instructions: Vec<Instruction>,
    /// When it was booked.
    pub at: Timestamp,
}

/// One thing that was done.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// What.
    pub kind: LineKind,
    /// Which part of the source's revision.
    pub part: u32,
    /// The legs; grants have their layer's days and clock beside the amount.
    pub legs: Vec<Leg>,
    /// The hold that was made, captured or released.
    pub hold: Option<HoldId>,
    /// The posting that was reversed.
    pub reverses: Option<PostingId>,
    /// For a hold: the first instant at which it no longer holds.
    pub expires: Option<Timestamp>,
}

/// One leg as it was booked.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The account.
    pub account: AccountKey,
    /// The layer.
    pub layer: LayerKey,
    /// How much.
    pub amount: i64,
    /// The source's line.
    pub line: u32,
    /// The layer itself, for grants.
    pub granted: Layer,
    /// The rule of a grant.
    pub rule: Option<String>,
}

/// The accounts and expiries that name a posting's legs.
struct Names {
    layers: HashMap<LayerId, (AccountKey, Layer)>,
    expiries: HashMap<HoldId, Timestamp>,
}

impl Names {
    fn of(accounts: &[Account], expiries: HashMap<HoldId, Timestamp>) -> Self {
        let layers =
            accounts.iter().flat_map(|a| a.layers.iter().map(|l| (l.id, (a.key.clone(), l.clone()))));
        Self { layers: layers.collect(), expiries }
    }

    fn leg(&self, entry: &Entry) -> Option<Leg> {
        let (account, layer) = self.layers.get(&entry.layer)?;
        let amount = amount(entry);
        Some(Leg {
            account: account.clone(),
            layer: layer.key,
            amount,
            line: entry.line,
            granted: layer.clone(),
            rule: entry.rule.clone(),
        })
    }
}

/// A posting that was just made.
#[must_use]
pub fn of_posted(posted: &Posted) -> Booked {
    let expiries = posted.decision.holds.iter().map(|change| (change.hold.id, change.hold.expires)).collect();
    let names = Names::of(&posted.balances, expiries);
    Booked {
        id: posted.id,
        source: posted.posting.source.clone(),
        revision: posted.posting.revision,
        event: posted.posting.event.clone(),
        episode: posted.episode,
        term: posted.term,
        instructions: instructions(&posted.decision.entries, &posted.decision.lines, &names),
        at: posted.at,
    }
}

/// Postings out of the journal.
pub(crate) fn of_page(page: &crate::store::ledger::Page) -> Vec<Booked> {
    let names = Names::of(&page.accounts, page.expiries.clone());
    page.postings.iter().map(|written| of_written(written, &names)).collect()
}

fn of_written(written: &Written, names: &Names) -> Booked {
    Booked {
        id: written.id,
        source: written.source.clone(),
        revision: written.revision,
        event: written.event.clone(),
        episode: written.episode.as_deref().and_then(|text| text.parse().ok()),
        term: written.term,
        instructions: instructions(&written.entries, &written.lines, names),
        at: written.at,
    }
}

fn instructions(entries: &[Entry], lines: &[LineKey], names: &Names) -> Vec<Instruction> {
    let mut all = expired(entries, names);
    let mut movements: Vec<(u32, LineKind, u32)> =
        lines.iter().map(|line| (line.movement, line.kind, line.part)).collect();
    movements.sort_unstable();
    movements.dedup();
    for (movement, kind, part) in movements {
        let own: Vec<&Entry> = entries.iter().filter(|entry| entry.movement == Some(movement)).collect();
        all.push(instruction(kind, part, own.iter().filter(|e| belongs(e.kind, kind)).copied(), names));
        let rest: Vec<&Entry> = own.into_iter().filter(|e| !belongs(e.kind, kind)).collect();
        if !rest.is_empty() {
            // The last part of a capture gives the rest of its hold back.
            all.push(instruction(LineKind::Release, part, rest.into_iter(), names));
        }
    }
    all
}

/// What time gave back before anything else, hold by hold.
fn expired(entries: &[Entry], names: &Names) -> Vec<Instruction> {
    let mut holds: Vec<HoldId> =
        entries.iter().filter(|e| e.kind == EntryKind::Expire).filter_map(|e| e.hold).collect();
    holds.dedup();
    let of =
        |hold: HoldId| entries.iter().filter(move |e| e.kind == EntryKind::Expire && e.hold == Some(hold));
    holds.into_iter().map(|hold| instruction(LineKind::Release, 0, of(hold), names)).collect()
}

fn instruction<'e>(
    kind: LineKind,
    part: u32,
    entries: impl Iterator<Item = &'e Entry> + Clone,
    names: &Names,
) -> Instruction {
    let hold = entries.clone().find_map(|entry| entry.hold);
    let reverses = entries.clone().find_map(|entry| entry.reverses);
    let expires = hold.filter(|_| kind == LineKind::Hold).and_then(|hold| names.expiries.get(&hold).copied());
    Instruction {
        kind,
        part,
        legs: entries.filter_map(|entry| names.leg(entry)).collect(),
        hold,
        reverses,
        expires,
    }
}

fn belongs(entry: EntryKind, line: LineKind) -> bool {
    matches!(
        (entry, line),
        (EntryKind::Hold, LineKind::Hold)
            | (EntryKind::Capture, LineKind::Capture)
            | (EntryKind::Release, LineKind::Release)
            | (EntryKind::Reverse, LineKind::Reverse)
            | (EntryKind::Restore, LineKind::Restore)
            | (EntryKind::Grant, LineKind::Grant)
    )
}

fn amount(entry: &Entry) -> i64 {
    match entry.kind {
        EntryKind::Open | EntryKind::Restore | EntryKind::Grant => entry.granted,
        EntryKind::Hold => entry.reserved,
        EntryKind::Release | EntryKind::Expire => -entry.reserved,
        EntryKind::Capture => entry.used,
        EntryKind::Reverse => -entry.used,
    }
}
