//! The one way into the ledger's rules: a posting and the book it was read against go in, what is to be written
//! comes out, or the reason why nothing is.

use caremesh_kernel::{HoldId, PostingId};

use super::LedgerRefusal;
use super::book::{Book, Decision};
use super::capture::capture;
use super::expire::expire;
use super::grant::{grant, restore};
use super::hold::hold;
use super::release::{release, release_rest};
use super::reverse::reverse;
use super::types::{Action, CoverState, Draw, LineKey, LineKind, Movement, Posting, Term, TermState};
use crate::domain::account::Grant;

/// Tries a posting: versions first, then expired holds, then each movement in its order.
///
/// # Errors
/// The first reason why the posting may not be written. The book is consumed either way, so that nothing of a
/// refused posting can be kept.
pub fn decide(mut book: Book, term: &Term, posting: &Posting) -> Result<Decision, LedgerRefusal> {
    book.begin(&posting.event);
    check_versions(&book, posting)?;
    check_shape(&book, term, posting)?;
    expire(&mut book, posting.now)?;
    for account in posting.expected.keys() {
        book.touch_new(*account)?;
    }
    for (index, movement) in (0_u32..).zip(&posting.movements) {
        book.enter(index);
        guard(&mut book, posting, index, movement)?;
        apply(&mut book, term, posting, &movement.action)?;
    }
    Ok(book.close())
}

/// Only lets time pass: gives back what the expired holds in the book keep. What the sweeper writes; correctness does not
/// wait for it.
///
/// # Errors
/// [`LedgerRefusal::Malformed`] when a balance would leave its range, which a sound ledger never does.
pub fn sweep(mut book: Book, posting: &Posting) -> Result<Decision, LedgerRefusal> {
    book.begin(&posting.event);
    expire(&mut book, posting.now)?;
    Ok(book.close())
}

/// Gives back what one hold keeps, because the cover that it was for has ended: what svc-policy itself does when a policy
/// or a membership ends. No hold of any service outlives its cover.
///
/// # Errors
/// [`LedgerRefusal::HoldUnknown`], or [`LedgerRefusal::Malformed`] when a balance would leave its range.
pub fn withdraw(mut book: Book, posting: &Posting, hold: HoldId) -> Result<Decision, LedgerRefusal> {
    book.begin(&posting.event);
    expire(&mut book, posting.now)?;
    book.enter(0);
    book.guard(LineKey {
        movement: 0,
        line: 0,
        revision: posting.revision,
        kind: LineKind::Release,
        part: 0,
    })?;
    release_rest(&mut book, hold)?;
    Ok(book.close())
}

fn check_versions(book: &Book, posting: &Posting) -> Result<(), LedgerRefusal> {
    let fresh = posting.expected.iter().all(|(id, version)| book.version(*id) == *version);
    if fresh { Ok(()) } else { Err(LedgerRefusal::Stale) }
}

fn check_shape(book: &Book, term: &Term, posting: &Posting) -> Result<(), LedgerRefusal> {
    let malformed = |field, rule| Err(LedgerRefusal::Malformed { field, rule });
    if posting.movements.is_empty() {
        return malformed("movements", "must not be empty");
    }
    let mut draws = posting.movements.iter().flat_map(|m| m.action.draws());
    if draws.any(|draw| draw.amount <= 0) {
        return malformed("legs.amount", "must be more than 0");
    }
    let mut draws = posting.movements.iter().flat_map(|m| m.action.draws());
    if draws.any(|draw| draw.layer.account != draw.account.id()) {
        return malformed("legs.layer", "must be a layer of the leg's account");
    }
    if book.accounts().any(|(_, account)| account.key.term != term.id && account.key.term != term.first) {
        return malformed("legs.account", "must belong to the term");
    }
    Ok(())
}

fn apply(book: &mut Book, term: &Term, posting: &Posting, action: &Action) -> Result<(), LedgerRefusal> {
    match action {
        Action::Hold { id, expires, legs } => {
            check_cover(term, posting, legs, true)?;
            hold(book, posting, *id, *expires, legs)
        }
        Action::Capture { hold, legs, last } => {
            check_cover(term, posting, legs, hold.is_none())?;
            capture(book, posting, *hold, legs, *last)
        }
        Action::Release { hold } => release(book, posting, *hold),
        Action::Reverse { of, legs, event_undone } => reverse(book, posting, *of, legs, *event_undone),
        Action::Restore { grants } => grants.iter().try_for_each(|grant| restore(book, posting, grant)),
        Action::Grant { grants, recovery } => grant(book, posting, grants, recovery.as_ref()),
    }
}

/// A closed term takes no draw. A draw that no hold keeps needs cover on the day of the event; what was reserved
/// while there was cover stays good.
fn check_cover(term: &Term, posting: &Posting, legs: &[Draw], fresh: bool) -> Result<(), LedgerRefusal> {
    if term.state == TermState::Closed && !legs.is_empty() {
        return Err(LedgerRefusal::TermClosed);
    }
    let covered = term.cover == CoverState::Covered && term.days.contains(posting.event.date);
    if fresh && !legs.is_empty() && !covered { Err(LedgerRefusal::NoCover) } else { Ok(()) }
}

fn guard(book: &mut Book, posting: &Posting, index: u32, movement: &Movement) -> Result<(), LedgerRefusal> {
    let (revision, part, kind) = (posting.revision, movement.part, movement.action.line_kind());
    let mut lines: Vec<u32> = movement.action.draws().map(|draw| draw.line).collect();
    // A movement without legs (a release, a grant, a last part of nothing) is guarded as line 0.
    if lines.is_empty() {
        lines.push(0);
    }
    lines.sort_unstable();
    lines.dedup();
    lines.into_iter().try_for_each(|line| book.guard(LineKey { movement: index, line, revision, kind, part }))
}

impl Action {
    /// The legs of the action that name an amount.
    pub fn draws(&self) -> impl Iterator<Item = &Draw> {
        let legs: &[Draw] = match self {
            Self::Hold { legs, .. } | Self::Capture { legs, .. } | Self::Reverse { legs, .. } => legs,
            Self::Release { .. } | Self::Restore { .. } | Self::Grant { .. } => &[],
        };
        legs.iter()
    }

    /// The hold the action names, which must be read before it is tried.
    #[must_use]
    pub fn hold(&self) -> Option<HoldId> {
        match self {
            Self::Capture { hold, .. } => *hold,
            Self::Release { hold } => Some(*hold),
            Self::Hold { .. } | Self::Reverse { .. } | Self::Restore { .. } | Self::Grant { .. } => None,
        }
    }

    /// The layers the action restores.
    #[must_use]
    pub fn restores(&self) -> &[Grant] {
        if let Self::Restore { grants } = self { grants } else { &[] }
    }

    /// The layers the action grants.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        match self {
            Self::Restore { grants } | Self::Grant { grants, .. } => grants,
            Self::Hold { .. } | Self::Capture { .. } | Self::Release { .. } | Self::Reverse { .. } => &[],
        }
    }

    /// The posting that the action gives back.
    #[must_use]
    pub fn reverses(&self) -> Option<PostingId> {
        if let Self::Reverse { of, .. } = self { Some(*of) } else { None }
    }

    /// Under which kind its lines are guarded.
    #[must_use]
    pub fn line_kind(&self) -> LineKind {
        match self {
            Self::Hold { .. } => LineKind::Hold,
            Self::Capture { .. } => LineKind::Capture,
            Self::Release { .. } => LineKind::Release,
            Self::Reverse { .. } => LineKind::Reverse,
            Self::Restore { .. } => LineKind::Restore,
            Self::Grant { .. } => LineKind::Grant,
        }
    }
}
