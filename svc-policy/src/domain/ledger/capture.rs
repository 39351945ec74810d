//! Using room: first what holds keep, oldest first, then, in legs that say so, more. A capture that meets its own
//! expired hold draws afresh in the same posting while there is room, and is refused as expired when there is none.

use caremesh_kernel::{AccountId, HoldId, LayerId};

use super::book::Book;
use super::release::release_rest;
use super::types::{Draw, Entry, EntryKind, Posting};
use super::LedgerRefusal;

/// Captures every leg, and with `last` gives back what the holds still keep.
pub(super) fn capture(
    book: &mut Book,
    posting: &Posting,
    holds: &[HoldId],
    legs: &[Draw],
    last: bool,
) -> Result<(), LedgerRefusal> {
    let holds = usable(book, holds)?;
    for draw in legs {
        if draw.fresh || holds.is_empty() { capture_fresh(book, posting, draw)? } else { capture_held(book, posting, &holds, draw)? }
        book.note_captured(draw);
    }
    for id in holds {
        if last { release_rest(book, id)? } else { book.hold_mut(id)?.settle() }
    }
    Ok(())
}

/// The named holds, oldest first; ties by id, so that both databases choose alike.
fn usable(book: &Book, ids: &[HoldId]) -> Result<Vec<HoldId>, LedgerRefusal> {
    let mut holds = Vec::with_capacity(ids.len());
    for id in ids {
        let hold = book.hold(*id)?;
        if !hold.is_usable() {
            return Err(LedgerRefusal::HoldNotOpen { hold: *id });
        }
        holds.push((hold.posted, *id));
    }
    holds.sort_unstable();
    holds.dedup();
    Ok(holds.into_iter().map(|(_, id)| id).collect())
}

fn capture_fresh(book: &mut Book, posting: &Posting, draw: &Draw) -> Result<(), LedgerRefusal> {
    let layer = book.fresh_room(draw, posting)?;
    let entry = Entry::blank(EntryKind::Capture, draw.account.id(), layer, draw.line, posting.event.clone());
    book.write(Entry { used: draw.amount, ..entry })
}

fn capture_held(book: &mut Book, posting: &Posting, holds: &[HoldId], draw: &Draw) -> Result<(), LedgerRefusal> {
    let (account, layer) = (draw.account.id(), draw.layer.id());
    let mut open = draw.amount;
    for id in holds {
        let expired = book.hold(*id)?.has_expired(posting.now);
        let taken = take(book, *id, account, layer, open, expired)?;
        open -= taken;
        if taken == 0 {
            continue;
        }
        if expired && book.layer(account, layer)?.room() < taken {
            return Err(LedgerRefusal::HoldExpired { hold: *id });
        }
        let entry = Entry::blank(EntryKind::Capture, account, layer, draw.line, posting.event.clone());
        let reserved = if expired { 0 } else { -taken };
        book.write(Entry { reserved, used: taken, hold: Some(*id), ..entry })?;
    }
    if open > 0 { Err(LedgerRefusal::MoreThanHeld { layer, held: draw.amount - open }) } else { Ok(()) }
}

/// Takes up to `wanted` from the hold's legs on one layer, in the order of its lines.
fn take(
    book: &mut Book,
    id: HoldId,
    account: AccountId,
    layer: LayerId,
    wanted: i64,
    expired: bool,
) -> Result<i64, LedgerRefusal> {
    let hold = book.hold_mut(id)?;
    let mut taken = 0;
    hold.legs.sort_by_key(|leg| leg.line);
    for leg in hold.legs.iter_mut().filter(|leg| leg.account == account && leg.layer == layer) {
        let part = leg.capturable(expired).min(wanted - taken);
        leg.captured += part;
        taken += part;
    }
    Ok(taken)
}
