//! Reserving room until an instant: a pre-authorisation, an order that was placed, a booking.

use caremesh_kernel::{HoldId, Timestamp};

use super::LedgerRefusal;
use super::book::Book;
use super::types::{Draw, Entry, EntryKind, Hold, HoldLeg, HoldState, Posting};

/// Reserves every leg, or refuses. An enhancement is a second hold of the same source.
pub(super) fn hold(
    book: &mut Book,
    posting: &Posting,
    id: HoldId,
    expires: Timestamp,
    legs: &[Draw],
) -> Result<(), LedgerRefusal> {
    if expires <= posting.now {
        return Err(LedgerRefusal::Malformed { field: "hold.expire_time", rule: "must lie in the future" });
    }
    for draw in legs {
        let layer = book.fresh_room(draw, posting)?;
        let entry = Entry::blank(EntryKind::Hold, draw.account.id(), layer, draw.line, posting.event.clone());
        book.write(Entry { reserved: draw.amount, hold: Some(id), ..entry })?;
    }
    book.add_hold(Hold {
        id,
        source: posting.source.clone(),
        event: posting.event.clone(),
        posted: posting.now,
        expires,
        state: HoldState::Open,
        legs: merged(legs),
    });
    Ok(())
}

/// One leg per account, layer and line, whatever the caller sent.
fn merged(legs: &[Draw]) -> Vec<HoldLeg> {
    let mut out: Vec<HoldLeg> = Vec::with_capacity(legs.len());
    for draw in legs {
        let (account, layer) = (draw.account.id(), draw.layer.id());
        match out.iter_mut().find(|l| l.account == account && l.layer == layer && l.line == draw.line) {
            Some(leg) => leg.amount += draw.amount,
            None => out.push(HoldLeg {
                account,
                layer,
                line: draw.line,
                amount: draw.amount,
                captured: 0,
                released: 0,
            }),
        }
    }
    out
}
