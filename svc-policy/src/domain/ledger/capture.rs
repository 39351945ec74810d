//! Using room: what a hold keeps, or what is free. A capture that meets its own expired hold draws afresh in the same
//! posting while there is room, and is refused as expired when there is none.

use caremesh_kernel::{AccountId, HoldId, LayerId};

use super::LedgerRefusal;
use super::book::Book;
use super::release::release_rest;
use super::types::{Draw, Entry, EntryKind, Posting};

/// Captures every leg, and with `last` gives back what the hold still keeps.
pub(super) fn capture(
    book: &mut Book,
    posting: &Posting,
    hold: Option<HoldId>,
    legs: &[Draw],
    last: bool,
) -> Result<(), LedgerRefusal> {
    let Some(id) = hold else {
        return legs.iter().try_for_each(|draw| capture_fresh(book, posting, draw));
    };
    book.usable(id, posting)?;
    legs.iter().try_for_each(|draw| capture_held(book, posting, id, draw))?;
    if last {
        return release_rest(book, id);
    }
    book.hold_mut(id)?.settle();
    Ok(())
}

fn capture_fresh(book: &mut Book, posting: &Posting, draw: &Draw) -> Result<(), LedgerRefusal> {
    let layer = book.fresh_room(draw, posting)?;
    let entry = Entry::blank(EntryKind::Capture, draw.account.id(), layer, draw.line, posting.event.clone());
    book.write(Entry { used: draw.amount, ..entry })
}

fn capture_held(book: &mut Book, posting: &Posting, id: HoldId, draw: &Draw) -> Result<(), LedgerRefusal> {
    let (account, layer) = (draw.account.id(), draw.layer.id());
    let expired = book.hold(id)?.has_expired(posting.now);
    let taken = take(book, id, account, layer, draw.amount, expired)?;
    if taken < draw.amount {
        return Err(LedgerRefusal::MoreThanHeld { layer, held: taken });
    }
    if expired && book.layer(account, layer)?.room() < taken {
        return Err(LedgerRefusal::HoldExpired { hold: id });
    }
    let entry = Entry::blank(EntryKind::Capture, account, layer, draw.line, posting.event.clone());
    let reserved = if expired { 0 } else { -taken };
    book.write(Entry { reserved, used: taken, hold: Some(id), ..entry })
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
